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
    let result = parsed(line, name);
    match result {
        Err(Fault::NotJson(_)) => {
            with_numbers(line).map_or(result, |line| Ok(parsed(&line, name)?.into_owned().into()))
        }
        _ => result,
    }
}

/// The line with numbers in place of those that Python writes and JSON does not know, if it has any; nothing moves.
#[cold]
fn with_numbers(line: &str) -> Option<String> {
    let (mut bytes, mut at, mut in_string) = (line.as_bytes().to_vec(), 0, false);
    while at < bytes.len() {
        let word = NO_NUMBERS.into_iter().find(|word| !in_string && bytes[at..].starts_with(word.as_bytes()));
        if let Some(word) = word {
            bytes[at..][..word.len()].fill(b'1');
        }
        in_string ^= bytes[at] == b'"';
        // What follows a backslash ends no string.
        at += word.map_or(1 + usize::from(in_string && bytes[at] == b'\\'), str::len);
    }
    String::from_utf8(bytes).ok().filter(|fixed| fixed != line)
}

fn parsed<'t>(line: &'t str, name: &str) -> Result<Cow<'t, str>, Fault> {
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

/// What `json.dumps` of Python writes for floats that are no numbers.
const NO_NUMBERS: [&str; 2] = ["NaN", "Infinity"];

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
            (r#"{"a": [NaN, -Infinity], "t": "\\\"NaN, ", "NaN": Infinity}"#, "\\\"NaN, "),
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
            ("{\"t\": NaN}", "[\"t\"]"),
            ("{\"t\": \"a\", \"b\": NaNo}", "not JSON"),
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
