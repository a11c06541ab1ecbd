//! What can be asked of an organization.

use std::collections::BTreeMap;

use super::group_record::{AuthType, GroupSettings, ProxyUrl, RuntimeType};
use crate::system::Possession;
use crate::token::{Role, TokenHash};
use crate::{Digest, GroupId, NodeCertificateId, NodeId, OrganizationId, Timestamp, TokenId, Version};

/// A command to an organization.
#[derive(Clone, Debug)]
pub enum OrganizationCommand {
    /// The organization's first change: itself, the group `default`, and the first admin token.
    Create {
        /// Its id.
        id: OrganizationId,
        /// Its name.
        name: String,
        /// The hash of the first admin token.
        admin: TokenHash,
    },
    /// A new group.
    CreateGroup(NewGroup),
    /// Some fields of a group changed.
    UpdateGroup {
        /// Which.
        group: GroupId,
        /// What.
        patch: GroupPatch,
        /// `If-Match`: the change that last touched it.
        expected: Option<Vec<Version>>,
    },
    /// A group deleted; its boundary has been sealed before.
    DeleteGroup {
        /// Which.
        group: GroupId,
        /// `If-Match`: the change that last touched it.
        expected: Option<Vec<Version>>,
    },
    /// A deleted group restored; its boundary is unsealed after.
    RestoreGroup {
        /// Which.
        group: GroupId,
        /// Its new name; none keeps the old one.
        name: Option<String>,
        /// Its certificates that belong to another group by now. The command bus says which: callers leave it empty.
        leave_out: Vec<NodeCertificateId>,
    },
    /// The time since a group's deletion counted from now on, where a clock wrote it down that was ahead.
    CountDeletionAnew {
        /// Which.
        group: GroupId,
    },
    /// A deleted group purged: it never comes back, and its keys are destroyed after.
    PurgeGroup {
        /// Which.
        group: GroupId,
        /// `If-Match`: the change that last touched it.
        expected: Option<Vec<Version>>,
    },
    /// A certificate opens a group from now on; the system has given it to the group before.
    AddNodeCertificate {
        /// Which group.
        group: GroupId,
        /// The certificate and nothing else, PEM.
        pem: String,
        /// What people call it.
        name: Option<String>,
        /// How it is known that whoever adds it holds its private key; the system judges it.
        possession: Possession,
    },
    /// A certificate stops working now; the system takes it from the group after.
    RemoveNodeCertificate {
        /// Of which group.
        group: GroupId,
        /// Which.
        certificate: NodeCertificateId,
    },
    /// A group's instances are of this type from now on; refused where they are of another.
    SetRuntimeType {
        /// Which group.
        group: GroupId,
        /// The type.
        runtime_type: RuntimeType,
        /// Whether another type may be replaced: only while no instance is connected.
        replace: bool,
    },
    /// A new token.
    IssueToken {
        /// What people call it.
        name: String,
        /// What it may do.
        role: Role,
        /// The one group it is for; an instance token needs one.
        group: Option<GroupId>,
        /// SHA-256 of the secret, which never comes here.
        hash: TokenHash,
        /// When it stops working by itself.
        expires_at: Option<Timestamp>,
    },
    /// A token that stops working now.
    RevokeToken {
        /// Which.
        token: TokenId,
    },
    /// An instance was admitted with a credential: noted once per node and credential.
    AdmitNode {
        /// Its group.
        group: GroupId,
        /// The node.
        node: NodeId,
        /// Its host name, as it says.
        hostname: String,
        /// What it showed: `token:<id>` or `certificate:<fingerprint>`.
        credential: String,
    },
    /// An instance refused a configuration: noted once per node and digest.
    RefuseNode {
        /// Its group.
        group: GroupId,
        /// The node.
        node: NodeId,
        /// The group version it refused.
        version: Version,
        /// The digest it refused.
        digest: Digest,
        /// Why, in its words.
        reason: String,
    },
}

/// A new group.
#[derive(Clone, Debug, Default)]
pub struct NewGroup {
    /// Its id; none has one generated.
    pub id: Option<GroupId>,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its settings.
    pub settings: GroupSettings,
    /// Its instances' type.
    pub runtime_type: Option<RuntimeType>,
}

/// Changes to a group; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct GroupPatch {
    /// Its name.
    pub name: Option<String>,
    /// What it is for; `Some(None)` clears it.
    pub description: Option<Option<String>>,
    /// Its labels, replaced whole.
    pub labels: Option<BTreeMap<String, String>>,
    /// How certificates are trusted.
    pub auth_type: Option<AuthType>,
    /// Where its traffic enters, replaced whole.
    pub proxy_urls: Option<Vec<ProxyUrl>>,
}
