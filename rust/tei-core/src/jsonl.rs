//! The text in one field of a JSON object; all else in it is only skipped.
use std::borrow::Cow;

use serde_core::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Deserializer, Value};

use crate::utf8;

/// Why a line holds no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not JSON, as the parser says.
    NotJson(String),
    /// It is no object that has a string in the field: the fields of the object, or what else it is.
    NoText(String),
}

/// The text in the field `name` of a line; if there are two, both must be texts, and it is the last. A lone surrogate
/// reads as U+FFFD.
///
/// # Errors
/// If the line is not JSON, or holds no such text.
pub fn text<'t>(line: &'t str, name: &str) -> Result<Cow<'t, str>, Fault> {
    let mut json = Deserializer::from_str(line);
    let found = json.deserialize_map(Field(name)).and_then(|text| json.end().map(|()| text));
    match found {
        Ok(Some(text)) => Ok(text),
        Err(error) if !error.is_data() => Err(Fault::NotJson(error.to_string())),
        _ => Err(no_text(line)),
    }
}

#[cold]
fn no_text(line: &str) -> Fault {
    match serde_json::from_str(line) {
        Ok(Value::Object(fields)) => Fault::NoText(format!("{:?}", fields.keys().collect::<Vec<_>>())),
        Ok(_) => Fault::NoText("a value that is no object".into()),
        Err(error) => Fault::NotJson(error.to_string()),
    }
}

struct Field<'n>(&'n str);

impl<'t> Visitor<'t> for Field<'_> {
    type Value = Option<Cow<'t, str>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'t>>(self, mut fields: M) -> Result<Self::Value, M::Error> {
        let mut found = None;
        while let Some(key) = fields.next_key_seed(Text)? {
            if key == self.0 {
                found = Some(fields.next_value_seed(Text)?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A string, asked for as bytes: as a `str`, the parser would refuse one with a lone surrogate.
struct Text;

impl<'t> DeserializeSeed<'t> for Text {
    type Value = Cow<'t, str>;

    fn deserialize<D: serde_core::Deserializer<'t>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_bytes(self)
    }
}

impl<'t> Visitor<'t> for Text {
    type Value = Cow<'t, str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E: serde_core::de::Error>(self, bytes: &'t [u8]) -> Result<Self::Value, E> {
        utf8::check(bytes).map(Cow::Borrowed).map_err(E::custom)
    }

    fn visit_bytes<E: serde_core::de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(utf8::without_surrogates(bytes.to_vec())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_what_was_written(text: String, name: String, other: String) {
            let line = serde_json::json!({ "before": [1, {"text": null}], &name: text, "after": other }).to_string();
            prop_assert_eq!(super::text(&line, &name), Ok(if name == "after" { other } else { text }.into()));
        }
    }

    #[test]
    fn escapes_and_surrogates() {
        for (line, want) in [
            (r#"{"t": "a\u00e9\n\ud83d\ude00"}"#, "aé\n😀"),
            (r#"{"t": "\ud800", "\udfff": "\ud800x"}"#, "\u{FFFD}"),
            (r#"{"t": "a\udc00b\ud800"} "#, "a\u{FFFD}b\u{FFFD}"),
            (r#"{"t": "x", "t": ""}"#, ""),
        ] {
            assert_eq!(text(line, "t").as_deref(), Ok(want), "{line}");
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let fault = |line| {
            text(line, "t").map_err(|fault| match fault {
                Fault::NotJson(_) => "not JSON".to_owned(),
                Fault::NoText(found) => found,
            })
        };
        for (line, want) in [
            ("{\"t\": \"a\"} x", "not JSON"),
            ("{\"t\": \"a", "not JSON"),
            ("{\"t\"", "not JSON"),
            ("{\"b\": \"a\", \"a\": 1}", "[\"a\", \"b\"]"),
            ("{\"t\": null}", "[\"t\"]"),
            ("[\"t\"]", "a value that is no object"),
            ("3", "a value that is no object"),
            ("", "not JSON"),
        ] {
            assert_eq!(fault(line), Err(want.to_owned()), "{line}");
        }
    }
}
