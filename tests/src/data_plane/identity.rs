//! Who a data plane is towards its control plane, and whom it trusts: the settings `cluster_cert`, `cluster_cert_key`,
//! `cluster_mtls`, `cluster_ca_cert` and `cluster_server_name`.

use std::path::PathBuf;
use std::sync::Arc;

use domain::organization::CertificateContent;
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P384_SHA384, SubjectPublicKeyInfo,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::version_1::version_1;

/// The name that every node in shared mode asks for and checks.
pub const SHARED_NAME: &str = "kong_clustering";

/// A certificate and its key, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Pair {
    /// A self-signed pair for a name, X.509 version 3, as the specification recommends it for the shared mode.
    pub fn of(name: &str) -> Self {
        Self::valid_until(name, 2060)
    }

    /// The same, valid until the 2nd of January of a year.
    pub fn valid_until(name: &str, year: i32) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("a key can be made");
        let mut params = CertificateParams::new([name.to_owned()]).expect("the name can be certified");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name.to_owned());
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.not_after = rcgen::date_time_ymd(year, 1, 2);
        let certificate = params.self_signed(&key).expect("the certificate can be signed");
        Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// What `kong hybrid gen_cert` makes: X.509 version 1, secp384r1, serial 0, no extensions, self-signed.
    pub fn of_kong_hybrid() -> Self {
        let read = |name: &str| {
            let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                .join("fixtures/kong-hybrid-pair")
                .join(name);
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        Self {
            certificate: read("cluster.crt"),
            key: read("cluster.key"),
        }
    }

    /// The first certificate, PEM, without those that lead to its issuer.
    pub fn alone(&self) -> String {
        CertificateContent::of_der(&self.der())
            .expect("a certificate")
            .pem
    }

    /// The first certificate with the last byte of its signature turned over: as it would be read, and another one.
    pub fn altered(&self) -> String {
        let mut der = self.der().to_vec();
        *der.last_mut().expect("it isn't empty") ^= 1;
        CertificateContent::of_der(&der)
            .expect("it can still be read")
            .pem
    }

    /// The certificate with the key of somebody else.
    #[must_use]
    pub fn with_the_key_of(&self, other: &Self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            key: other.key.clone(),
        }
    }

    /// The certificate, DER.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a pair's certificate is PEM")
    }

    /// The certificate and those that lead to its issuer, DER.
    ///
    /// # Panics
    /// When they aren't PEM.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<_, _>>()
            .expect("a pair's certificates are PEM")
    }

    pub(super) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a pair's key is PEM")
    }
}

/// An authority of a group's own, which signs its nodes' certificates.
#[derive(Debug)]
pub struct Authority {
    certified: rcgen::CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A self-signed authority.
    pub fn named(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let certified = rcgen::CertifiedIssuer::self_signed(Self::params(name), key);
        Self {
            certified: certified.expect("the certificate can be signed"),
        }
    }

    /// An authority below this one.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let certified = rcgen::CertifiedIssuer::signed_by(Self::params(name), key, &self.certified);
        Self {
            certified: certified.expect("the certificate can be signed"),
        }
    }

    /// The authority's certificate as PEM.
    pub fn certificate(&self) -> String {
        self.certified.pem()
    }

    /// A pair for a node; its certificate is followed by the authority's if `with_chain`.
    pub fn issue(&self, name: &str, with_chain: bool) -> Pair {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new([name.to_owned()]).expect("the name can be certified");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params
            .signed_by(&key, &self.certified)
            .expect("the certificate can be signed");
        let chain = if with_chain {
            self.certificate()
        } else {
            String::new()
        };
        Pair {
            certificate: certificate.pem() + &chain,
            key: key.serialize_pem(),
        }
    }

    /// A pair for a node whose certificate is valid from the 2nd of January of a year to that of another.
    pub fn issue_between(&self, name: &str, from: i32, until: i32) -> Pair {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new([name.to_owned()]).expect("the name can be certified");
        params.not_before = rcgen::date_time_ymd(from, 1, 2);
        params.not_after = rcgen::date_time_ymd(until, 1, 2);
        let certificate = params.signed_by(&key, &self.certified);
        Pair {
            certificate: certificate.expect("the certificate can be signed").pem(),
            key: key.serialize_pem(),
        }
    }

    /// A pair for a node whose certificate is of X.509 version 1, as plain `openssl x509 -req` makes it.
    pub fn issue_version_1(&self, name: &str) -> Pair {
        let newer = self.issue(name, false);
        Pair {
            certificate: version_1(&newer.der(), self.certified.key()),
            key: newer.key,
        }
    }

    /// A pair for a node, issued with the public key of another: its holder can't use it.
    pub fn issue_for_the_key_of(&self, name: &str, other: &Pair) -> Pair {
        let key = KeyPair::from_pem(&other.key).expect("a pair's key is PEM");
        let params = CertificateParams::new([name.to_owned()]).expect("the name can be certified");
        let certificate = params.signed_by(&key, &self.certified);
        Pair {
            certificate: certificate.expect("the certificate can be signed").pem(),
            key: other.key.clone(),
        }
    }

    /// Another authority's name and key in a certificate that this one signs, as cross-signing does it; PEM.
    ///
    /// # Panics
    /// When it isn't a certificate, or has no name.
    pub fn crossing(&self, other: &CertificateDer<'_>) -> String {
        let (_, certificate) = X509Certificate::from_der(other).expect("a certificate");
        let key = SubjectPublicKeyInfo::from_der(certificate.public_key().raw).expect("a key");
        let name = certificate.subject().iter_common_name().next();
        let name = name.and_then(|name| name.as_str().ok()).expect("it has a name");
        let crossing = Self::params(name).signed_by(&key, &self.certified);
        crossing.expect("the certificate can be signed").pem()
    }

    /// The authority anew: the same name and key in another certificate of its own.
    pub fn renewed(&self) -> Pair {
        Pair {
            certificate: self.crossing(self.certified.der()),
            key: self.certified.key().serialize_pem(),
        }
    }

    /// The authority with its key, as somebody has it who may add it to a group.
    pub fn pair(&self) -> Pair {
        Pair {
            certificate: self.certificate(),
            key: self.certified.key().serialize_pem(),
        }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are no problem");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name.to_owned());
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
    }
}

/// How a node checks who it talks to.
#[derive(Clone, Debug)]
pub enum Trust {
    /// `cluster_mtls=shared`: the node's own certificate is the control plane's.
    Shared,
    /// `cluster_mtls=pki`: the control plane's certificate chains to `authority` (PEM) and is for `server_name`.
    Pki {
        /// `cluster_ca_cert`.
        authority: String,
        /// `cluster_server_name`.
        server_name: String,
    },
}

/// A pair with the trust that goes with it.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(super) pair: Arc<Pair>,
    pub(super) trust: Trust,
}

impl Identity {
    /// A node in shared mode.
    pub fn shared(pair: &Pair) -> Self {
        Self {
            pair: Arc::new(pair.clone()),
            trust: Trust::Shared,
        }
    }

    /// A node in pki mode that trusts an authority (PEM) to have certified the control plane as `server_name`.
    pub fn pki(pair: &Pair, authority: &str, server_name: &str) -> Self {
        Self {
            pair: Arc::new(pair.clone()),
            trust: Trust::Pki {
                authority: authority.to_owned(),
                server_name: server_name.to_owned(),
            },
        }
    }

    /// The name that is sent as SNI and checked.
    ///
    /// # Panics
    /// When `cluster_server_name` is no name.
    pub fn server_name(&self) -> ServerName<'static> {
        let name = match &self.trust {
            Trust::Shared => SHARED_NAME,
            Trust::Pki { server_name, .. } => server_name,
        };
        ServerName::try_from(name.to_owned()).expect("cluster_server_name is a name")
    }
}
