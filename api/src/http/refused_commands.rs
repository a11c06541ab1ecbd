//! What the domain refuses, as HTTP statuses and Kong's error codes (`deck-go-kong.md` §5.4).

use axum::http::StatusCode;
use domain::gateway::CommandError;
use domain::group::error::key_text;
use domain::group::{GroupError, Selector};
use domain::organization::OrganizationError;
use domain::system::SystemError;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        let message = error.to_string();
        match error {
            CommandError::Group(error) => error.into(),
            CommandError::Organization(error) => error.into(),
            CommandError::System(SystemError::Unproven(_)) => {
                let mut refusal = Self::new(StatusCode::FORBIDDEN, message);
                refusal.kind = Some("possession-unproven");
                refusal
            }
            CommandError::System(_) => Self::new(StatusCode::CONFLICT, message),
            CommandError::NoSuchGroup => Self::new(StatusCode::NOT_FOUND, message),
            CommandError::IdempotencyMismatch { .. } => {
                let mut refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, message);
                refusal.kind = Some("idempotency-key-reused");
                refusal
            }
            CommandError::OutcomeUnknown => {
                let mut refusal = Self::unavailable(message);
                refusal.kind = Some("outcome-unknown");
                refusal
            }
            // Not a 500, which clients repeat at once, and not for ever either: an operator makes room.
            CommandError::LogFull(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, message),
            CommandError::Unavailable(_) => Self::unavailable(message),
        }
    }
}

impl From<GroupError> for Refusal {
    fn from(error: GroupError) -> Self {
        let message = error.to_string();
        match error {
            GroupError::Schema(violation) => Self::bad_request(message)
                .coded(2, "schema violation")
                .with_fields(violation.fields),
            GroupError::PrimaryKey { id } => Self::bad_request(message)
                .coded(3, "primary key violation")
                .with_fields(json!({ "id": id })),
            GroupError::Unique { fields } => {
                let mut refusal =
                    Self::new(StatusCode::CONFLICT, message).coded(5, "unique constraint violation");
                refusal.fields = Some(Value::Object(fields));
                refusal
            }
            GroupError::ForeignMissing { field, id, .. } => foreign(
                message,
                "foreign key violation",
                4,
                json!({ field: { "id": id } }),
            ),
            GroupError::ForeignUnresolved { field, by, value, .. } => foreign(
                message,
                "foreign keys unresolved",
                13,
                json!({ field: { by: value } }),
            ),
            GroupError::Referenced { by, .. } => foreign(
                message,
                "foreign key violation",
                4,
                json!({ "@referenced_by": by }),
            ),
            GroupError::Listed { .. } => Self::bad_request(message).coded(19, "referenced by others"),
            GroupError::NotFound { kind, selector } => no_entity(kind, &selector),
            GroupError::Precondition { .. } | GroupError::Exists { .. } | GroupError::Version { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, message)
            }
            GroupError::EntityTooLarge { .. } | GroupError::ChangeTooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
            }
            GroupError::Sealed | GroupError::Erased { .. } => Self::new(StatusCode::CONFLICT, message),
            GroupError::Unjudged(_) => Self::unavailable(message),
            GroupError::Malformed(_) => Self::bad_request(message),
            GroupError::Conflicts(_) => Self::new(StatusCode::CONFLICT, message),
            GroupError::InOperation { index, error } => {
                Self::from(*error).at(&format!("operations[{index}]"))
            }
            GroupError::InPlugin { .. } => Self::bad_request(message).coded(2, "schema violation"),
            GroupError::InDeclaration { path, error } => Self::from(*error).at(&path),
        }
    }
}

fn foreign(message: String, name: &'static str, code: u8, fields: Value) -> Refusal {
    let mut refusal = Refusal::bad_request(message).coded(code, name);
    refusal.fields = Some(fields);
    refusal
}

fn no_entity(kind: domain::Kind, selector: &str) -> Refusal {
    let field = match Selector::parse(selector) {
        Selector::Id(_) => "id",
        Selector::Key(_) => kind.schema().endpoint_key.unwrap_or("id"),
    };
    let key = Map::from_iter([(field.to_owned(), Value::from(selector))]);
    let message = format!("could not find the entity with primary key '{}'", key_text(&key));
    let mut refusal = Refusal::new(StatusCode::NOT_FOUND, message).coded(6, "not found");
    refusal.fields = Some(Value::Object(key));
    refusal
}

impl From<OrganizationError> for Refusal {
    fn from(error: OrganizationError) -> Self {
        let message = error.to_string();
        let status = match error {
            OrganizationError::Invalid { field, reason } => return Self::invalid(&field, "invalid", reason),
            OrganizationError::NoSuchGroup(_)
            | OrganizationError::NoSuchToken(_)
            | OrganizationError::NoSuchCertificate(_) => StatusCode::NOT_FOUND,
            OrganizationError::Precondition { .. } => StatusCode::PRECONDITION_FAILED,
            OrganizationError::Limit { .. } | OrganizationError::CertificateLimit { .. } => {
                StatusCode::FORBIDDEN
            }
            OrganizationError::Purged { .. } => StatusCode::GONE,
            OrganizationError::NameTaken { .. }
            | OrganizationError::IdTaken(_)
            | OrganizationError::NotDeleted(_)
            | OrganizationError::StillExists(_)
            | OrganizationError::DefaultGroup
            | OrganizationError::RuntimeType { .. }
            | OrganizationError::AlreadyCreated => StatusCode::CONFLICT,
        };
        Self::new(status, message)
    }
}
