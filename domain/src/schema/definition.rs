//! What a schema file says, compiled: fields, constraints, shorthands and entity checks, ready to run without parsing.

use std::collections::HashMap;

use serde_json::Value;

use super::catalogue::Kind;
use super::choices::Choices;
use super::custom::LuaFunction;
use super::pattern::Pattern;
use super::rules::{EntityRule, FieldRule, ShorthandRule, TransformationRule};

/// A dotted field name, split.
pub(super) type Path = Vec<&'static str>;

/// The fields of an entity, of a plugin's `config` or of any nested record, in the order in which they are stored.
#[derive(Clone, Debug, Default)]
pub struct RecordSchema {
    /// Every field a stored body carries; unset ones are null.
    pub fields: Vec<FieldSchema>,
    /// Where each field stands, by its name.
    pub(super) places: HashMap<&'static str, usize>,
    pub(super) shorthands: Vec<Shorthand>,
    pub(super) checks: Vec<EntityCheck>,
    /// Whether this record or one below it has shorthand fields.
    pub(super) shorthands_within: bool,
}

impl RecordSchema {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&FieldSchema> {
        self.places.get(name).map(|place| &self.fields[*place])
    }

    /// The field of this name that input may have: a stored one or a shorthand.
    pub fn input_field(&self, name: &str) -> Option<&FieldSchema> {
        let shorthands = || self.shorthands.iter().map(|shorthand| &shorthand.field);
        self.field(name)
            .or_else(|| shorthands().find(|field| field.name == name))
    }
}

/// One field: its type, what fills it and what it must satisfy.
#[derive(Clone, Debug)]
pub struct FieldSchema {
    /// Its name; empty for the elements of an array and the keys and values of a map.
    pub name: &'static str,
    /// What it holds.
    pub value_type: ValueType,
    /// Null and absent are refused.
    pub required: bool,
    /// What an absent value becomes.
    pub default: Option<Value>,
    /// No two entities of a group may hold the same non-null value.
    pub unique: bool,
    /// A `{vault://…}` reference is accepted in its place.
    pub referenceable: bool,
    /// Sealed at rest (DESIGN §4): marked `encrypted`, or so by `schemas/secrets.json`.
    pub sealed: bool,
    /// Personal data of a consumer, sealed with the consumer's own key.
    pub personal: bool,
    /// The consumer whose key seals the entity's secrets.
    pub owner: bool,
    /// Ids of entities of this kind, which are not deleted while listed: marked `x_lists`.
    pub lists: Option<Kind>,
    /// Input that isn't part of the stored body (`certificates.snis`).
    pub transient: bool,
    /// Bodies leave it out instead of saying null: open-source Kong doesn't know it (`plugins.consumer_group`).
    pub omitted_when_unset: bool,
    pub(super) auto: Option<Auto>,
    pub(super) uuid: bool,
    pub(super) equal: Option<Value>,
    pub(super) unequal: Option<Value>,
    pub(super) constraints: Vec<Constraint>,
    pub(super) error: Option<&'static str>,
}

impl FieldSchema {
    /// Whether the field, or one of a record in it, has a random default.
    pub(super) fn has_random_default(&self) -> bool {
        match &self.value_type {
            ValueType::Record(record) => record.fields.iter().any(Self::has_random_default),
            _ => matches!(self.auto, Some(Auto::RandomDefault(_))),
        }
    }

    /// The form in which a text in this field is stored: a target's address gets its port.
    pub fn as_stored(&self, text: String) -> String {
        super::fill::string(self, text)
    }

    /// Whether an absent value is generated: an id, a time, a random key.
    pub const fn is_generated(&self) -> bool {
        self.auto.is_some()
    }

    /// Whether what it may hold is known beforehand: some texts to choose from, an id.
    pub fn has_known_values(&self) -> bool {
        let chosen =
            |constraint: &Constraint| matches!(constraint, Constraint::OneOf(_) | Constraint::Equal(_));
        self.uuid || self.constraints.iter().any(chosen)
    }

    /// A text as it is stored in this field: a target gets its port, an id is in lower case.
    pub fn stored_text(&self, text: &str) -> String {
        super::fill::string(self, text.to_owned())
    }
}

/// What a field holds.
#[derive(Clone, Debug)]
pub enum ValueType {
    /// Text; lengths are bytes.
    String,
    /// Any number.
    Number,
    /// A number without a fraction.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Values in order.
    Array(Box<FieldSchema>),
    /// Values in order, duplicates dropped.
    Set(Box<FieldSchema>),
    /// Names and values.
    Map(Box<FieldSchema>, Box<FieldSchema>),
    /// Named fields.
    Record(Box<RecordSchema>),
    /// `{"id": uuid}` of another entity.
    Foreign(Reference),
    /// Anything.
    Json,
}

/// The kind a foreign field points to.
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    /// Kong's name of the kind.
    pub name: &'static str,
    /// The kind, if the catalogue has it.
    pub kind: Option<Kind>,
}

/// What fills an absent value at the moment of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Auto {
    Uuid,
    RandomString(usize),
    /// A random default: a replacement that omits it keeps it.
    RandomDefault(usize),
    CreatedAt,
    UpdatedAt,
}

/// One validator of a value that is present, in the order of README §3.
#[derive(Clone, Debug)]
pub(super) enum Constraint {
    Equal(Value),
    Unequal(Value),
    NotOneOf(Choices),
    OneOf(Choices),
    GreaterThan(f64),
    Timestamp,
    Uuid,
    Regex,
    Between(f64, f64),
    LengthEqual(usize),
    LengthMin(usize),
    LengthMax(usize),
    StartsWith(&'static str),
    NotMatch(Pattern),
    MatchNone(Vec<(Pattern, &'static str)>),
    Match(Pattern),
    MatchAll(Vec<(Pattern, &'static str)>),
    MatchAny(Vec<Pattern>, Option<&'static str>),
    Contains(Value),
    Rule(FieldRule),
    /// An uploaded schema's own.
    Function(LuaFunction),
    ExclusiveSubsets(Vec<Choices>),
}

/// An input-only field that is rewritten into others (README §5).
#[derive(Clone, Debug)]
pub(super) struct Shorthand {
    pub(super) field: FieldSchema,
    /// What the user gave in the new place wins over the shorthand.
    pub(super) deprecated: bool,
    pub(super) effect: ShorthandEffect,
}

#[derive(Clone, Debug)]
pub(super) enum ShorthandEffect {
    /// The value moves here; readers see it in both places.
    Moved(Vec<Path>),
    Rewritten(ShorthandRule),
}

/// What a write makes of fields before they are stored (README §7, "Transformation check").
#[derive(Clone, Debug)]
pub(super) struct Transformation {
    /// The fields whose being sent starts it.
    pub(super) inputs: Vec<Path>,
    /// The fields it reads besides.
    pub(super) needs: Vec<Path>,
    /// Inputs and needs as Kong prints them.
    pub(super) quoted: String,
    pub(super) rule: TransformationRule,
}

impl Transformation {
    /// Whether it puts a secret's hash in its place.
    pub(super) const fn hashes(&self) -> bool {
        matches!(
            self.rule,
            TransformationRule::Hash(_) | TransformationRule::SlowHash(_)
        )
    }
}

/// A rule over several fields (README §7).
#[derive(Clone, Debug)]
pub(super) struct EntityCheck {
    pub(super) rule: CheckRule,
    /// Its fields that may hold a vault reference, which switches the check off.
    pub(super) referenceable: Vec<Path>,
}

#[derive(Clone, Debug)]
pub(super) enum CheckRule {
    AtLeastOneOf(FieldList),
    OnlyOneOf(FieldList),
    MutuallyRequired(FieldList),
    MutuallyExclusive(FieldList),
    Distinct(FieldList),
    Conditional(Box<Conditional>),
    ConditionalAtLeastOneOf(Box<ConditionalAtLeastOneOf>),
    Custom {
        sources: Vec<Path>,
        even_if_invalid: bool,
        rule: CustomCheck,
    },
}

/// What judges a whole body.
#[derive(Clone, Debug)]
pub(super) enum CustomCheck {
    Rule(EntityRule),
    /// An uploaded schema's own.
    Function(LuaFunction),
}

/// Fields a check names, and the same as Kong prints them: `'a', 'b'`.
#[derive(Clone, Debug)]
pub(super) struct FieldList {
    pub(super) paths: Vec<Path>,
    pub(super) quoted: String,
}

#[derive(Clone, Debug)]
pub(super) struct Conditional {
    pub(super) if_path: Path,
    pub(super) if_name: &'static str,
    /// The whole field definition with `if_match` on top.
    pub(super) if_field: FieldSchema,
    pub(super) then_path: Path,
    /// The whole field definition with `then_match` on top.
    pub(super) then_field: FieldSchema,
    pub(super) then_error: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(super) struct ConditionalAtLeastOneOf {
    pub(super) if_path: Path,
    pub(super) then: (FieldSchema, FieldList, Option<&'static str>),
    pub(super) otherwise: Option<(FieldSchema, FieldList, Option<&'static str>)>,
}
