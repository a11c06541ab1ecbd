//! A certificate authority of one test, for servers and clients that ask each other for certificates.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// An authority with its files, which go with it.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    home: TempDir,
}

impl Authority {
    /// Makes an authority.
    ///
    /// # Panics
    /// When its files can't be written.
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("the temporary directory is writable");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority of a test");
        let key = KeyPair::generate().expect("a key is made");
        let certificate = params.self_signed(&key).expect("an authority signs itself");
        std::fs::write(home.path().join("ca.pem"), certificate.pem()).expect("the directory is writable");
        Self {
            issuer: Issuer::new(params, key),
            home,
        }
    }

    /// The file with its certificate.
    pub fn certificate(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }

    /// Issues a certificate for this machine, to serve and to ask with.
    ///
    /// # Panics
    /// When its files can't be written.
    pub fn issue(&self, name: &str) -> Identity {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).expect("these are names");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.distinguished_name.push(DnType::CommonName, name);
        let pair = KeyPair::generate().expect("a key is made");
        let issued = params
            .signed_by(&pair, &self.issuer)
            .expect("the authority signs");
        let file = |kind: &str, text: String| {
            let path = self.home.path().join(format!("{name}.{kind}.pem"));
            std::fs::write(&path, text).expect("the directory is writable");
            path
        };
        Identity {
            certificate: file("certificate", issued.pem()),
            key: file("key", pair.serialize_pem()),
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
