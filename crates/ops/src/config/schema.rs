//! The JSON Schema of the configuration, for editors and for checks before a commit.
//!
//! Lives here: from the table of keys to a schema (JSON Schema, draft 2020-12). May not: keys; they stand in `keys`.
//! Invariant: what [`super::parse`] accepts, the schema accepts. It cannot know what names lead to, nor a key given twice.

use serde_json::{Map, Value, json};

use super::keys::{Form, LEVELS, Level, REPOSITORY, SECRET, SOURCE, TOP};
use crate::{
    Ctx, Result,
    permission::{Action, On, require_on},
};

/// The schema, for whoever may see what is configured.
pub fn published(ctx: &Ctx) -> Result<Value> {
    require_on(ctx, Action::Read, On::Any)?;
    Ok(schema())
}

/// The schema of a configuration file.
pub fn schema() -> Value {
    let mut whole = level(&TOP);
    let inner = LEVELS.iter().filter(|l| l.words != TOP.words).map(|l| (name(l).to_owned(), level(l)));
    whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    whole["title"] = json!("Configuration of Holdfast");
    whole["$defs"] = Value::Object(inner.collect());
    whole
}

/// What a level is called in the schema: the last of its words.
fn name(level: &Level) -> &'static str {
    level.words.rsplit(' ').next().unwrap_or_default()
}

fn level(of: &Level) -> Value {
    let mut keys = Map::new();
    for key in of.keys {
        let mut value = form(key.1);
        if let (Some(map), false) = (value.as_object_mut(), matches!(key.1, Form::One(_) | Form::List(_))) {
            map.insert("description".to_owned(), format!("Such as {}", key.2).into());
        }
        keys.insert(key.0.to_owned(), value);
    }
    let mut all = json!({ "type": "object", "title": of.words, "properties": keys, "additionalProperties": false });
    if !of.needs.is_empty() {
        all["required"] = json!(of.needs);
    }
    if of.words == SECRET.words {
        all["description"] = json!("Where the secret is read from. The secret itself must not stand in the file.");
        (all["minProperties"], all["maxProperties"]) = (json!(1), json!(1));
    }
    // What must be there beside depends on the kind.
    if of.words == REPOSITORY.words {
        all["anyOf"] = json!([{ "required": ["location", "password"] }, { "required": ["clouds_file", "cloud"] }]);
    }
    if of.words == SOURCE.words {
        all["anyOf"] = json!([{ "required": ["path", "items"] }, { "properties": { "kind": { "const": "openstack-instance" } } }]);
    }
    all
}

fn reference(to: &Level) -> Value {
    json!({ "$ref": format!("#/$defs/{}", name(to)) })
}

/// Numbers and truths are texts where a text is wanted, and the other way round where they are quoted.
fn form(of: Form) -> Value {
    let text = || json!({ "type": ["string", "number", "boolean"], "pattern": "\\S" });
    let any_of = |words: &[&str]| format!("^\\s*({})\\s*$", words.join("|"));
    match of {
        Form::Version => json!({ "enum": [1, "1"] }),
        Form::Name => json!({ "type": ["string", "number", "boolean"], "pattern": "^[a-z0-9][a-z0-9._-]*$", "maxLength": 63 }),
        Form::Text => text(),
        Form::Path => json!({ "type": "string", "pattern": "^/" }),
        Form::Texts => json!({ "type": "array", "items": text() }),
        Form::Whole(least, most) => json!({ "type": ["integer", "string"], "minimum": least, "maximum": most, "pattern": "^[+-]?[0-9]+$" }),
        Form::Truth => json!({ "enum": [true, false, "true", "false"] }),
        Form::Span => json!({ "type": "string", "pattern": "^\\s*([0-9]+[smhdw])+\\s*$" }),
        Form::Within => json!({ "type": "string", "pattern": "^\\s*([0-9]+[ymdh])+\\s*$" }),
        Form::Word(words) => json!({ "enum": words() }),
        Form::Words(words) => json!({ "type": "array", "items": { "type": "string", "pattern": any_of(&words()) } }),
        Form::Sample => json!({ "anyOf": [form(Form::Whole(1, 10_000)), { "enum": ["latest", "all"] }] }),
        Form::Secret => reference(&SECRET),
        Form::SecretOrText => json!({ "anyOf": [reference(&SECRET), text()] }),
        Form::One(level) => reference(level),
        Form::List(level) => json!({ "type": "array", "items": reference(level) }),
    }
}
