//! An endpoint's key. It leaves this module only inside a header that is marked sensitive.

use memchr::memmem;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::SettingsError;

/// What stands in place of a key in a server's message.
const MASK: &str = "[key]";

/// Answers are scrubbed only of keys at least this long: stand-ins such as `EMPTY`, which vLLM's users set, are words that
/// occur in code.
const UNMISTAKABLE: usize = 16;

/// An endpoint's key.
#[derive(Clone, Debug)]
pub(super) struct ApiKey(SecretString);

impl ApiKey {
    /// Reads the variable that the settings name.
    pub(super) fn from_env(variable: &str) -> Result<Self, SettingsError> {
        match std::env::var(variable) {
            Ok(key) if !key.trim().is_empty() => Self::new(&key.into()),
            Ok(_) => Err(problem(format!("names ${variable}, which is empty: put the endpoint's key in it"))),
            Err(std::env::VarError::NotPresent) => {
                Err(problem(format!("names ${variable}, which is not set: put the endpoint's key in it")))
            }
            Err(std::env::VarError::NotUnicode(_)) => Err(problem(format!("names ${variable}, which is not text"))),
        }
    }

    /// Takes a key; white space around it, as from a file's line end, does not count.
    pub(super) fn new(key: &SecretString) -> Result<Self, SettingsError> {
        let key = Self(key.expose_secret().trim().into());
        // The error of the header's type is not passed on, as it may quote the key.
        key.authorization().map(|_| key).ok_or_else(|| {
            problem("names a variable whose value cannot be sent: it has line breaks or control characters".to_owned())
        })
    }

    /// The value of the `authorization` header.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0.expose_secret())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Takes the key out of a server's message.
    pub(super) fn scrub(&self, text: &str) -> String {
        text.replace(self.0.expose_secret(), MASK)
    }

    /// Takes the key out of an answer, should a server echo it.
    pub(super) fn scrub_answer(&self, text: &mut String) {
        let key = self.0.expose_secret();
        if key.len() >= UNMISTAKABLE && text.contains(key) {
            *text = text.replace(key, MASK);
        }
    }

    /// Takes the key out of every text of a reply, as [`ApiKey::scrub_answer`] does.
    pub(super) fn scrub_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.scrub_answer(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.scrub_value(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.scrub_value(value)),
            _ => {}
        }
    }

    /// Moves what has come of a stream of bytes from `held` to `out`, without the key, as [`ApiKey::scrub_answer`] does. What
    /// may be the start of a key stays held until more has come, or the stream has `ended`.
    pub(super) fn scrub_bytes(&self, held: &mut Vec<u8>, out: &mut Vec<u8>, ended: bool) {
        let key = self.0.expose_secret().as_bytes();
        if key.len() >= UNMISTAKABLE {
            while let Some(at) = memmem::find(held, key) {
                out.extend(held.drain(..at));
                out.extend(MASK.as_bytes());
                held.drain(..key.len());
            }
            if !ended {
                out.extend(held.drain(..held.len().saturating_sub(key.len() - 1)));
                return;
            }
        }
        out.append(held);
    }
}

fn problem(message: String) -> SettingsError {
    SettingsError::new("api_key_env", message)
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_is_named() {
        let error = ApiKey::from_env("CODEPMP_TEST_NO_SUCH_VARIABLE").unwrap_err();
        assert!(error.to_string().contains("$CODEPMP_TEST_NO_SUCH_VARIABLE, which is not set"));
    }

    #[test]
    fn a_key_never_shows_in_debug_output_or_errors() {
        let key = ApiKey::new(&"sk-planted-secret\n".to_owned().into()).unwrap();
        assert!(!format!("{key:?} {:?}", key.authorization().unwrap()).contains("planted"));
        let error = ApiKey::new(&"sk-planted\nsecret".to_owned().into()).unwrap_err();
        assert!(!error.to_string().contains("planted"));
    }

    #[test]
    fn short_stand_ins_are_not_taken_out_of_answers() {
        let mut text = "EMPTY = 'EMPTY'".to_owned();
        ApiKey::new(&"EMPTY".to_owned().into()).unwrap().scrub_answer(&mut text);
        assert_eq!(text, "EMPTY = 'EMPTY'");
        ApiKey::new(&"sk-0123456789abcdef".to_owned().into()).unwrap().scrub_answer(&mut text);
        let mut echoed = "key is sk-0123456789abcdef!".to_owned();
        ApiKey::new(&"sk-0123456789abcdef".to_owned().into()).unwrap().scrub_answer(&mut echoed);
        assert_eq!(echoed, "key is [key]!");
    }

    #[test]
    fn a_key_is_taken_out_of_bytes_however_they_are_cut() {
        let key = ApiKey::new(&"sk-0123456789abcdef".to_owned().into()).unwrap();
        let text = b"a sk-0123456789abcdef, sk-0123456789abcdefsk-0123456789abcdef, sk-0123456789abcde";
        for size in 1..text.len() {
            let (mut held, mut out) = (Vec::new(), Vec::new());
            for piece in text.chunks(size) {
                held.extend(piece);
                key.scrub_bytes(&mut held, &mut out, false);
            }
            key.scrub_bytes(&mut held, &mut out, true);
            assert_eq!(String::from_utf8(out).unwrap(), "a [key], [key][key], sk-0123456789abcde", "{size}");
        }
    }
}
