//! What identifies a stage.

use serde_json::Value;

/// Counts up when a release changes what a kind makes of the same settings.
const VERSION: u32 = 1;

/// Hash over a stage's kind, the settings that decide its output, and the fingerprints of what it needs, in order of name.
///
/// Key order of `identity` does not matter; 32 hex digits.
pub fn fingerprint(kind: &str, identity: &Value, needs: &[(&str, &str)]) -> String {
    let mut needs = needs.to_vec();
    needs.sort_unstable();
    let canonical = serde_json::json!([VERSION, kind, sorted(identity), needs]);
    blake3::hash(canonical.to_string().as_bytes()).to_hex()[..32].to_owned()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_settings_does_not_matter_but_their_values_do() {
        let one = fingerprint("filter", &json!({"a": 1, "b": {"c": 2, "d": 3}}), &[("x", "1"), ("y", "2")]);
        let same = fingerprint("filter", &json!({"b": {"d": 3, "c": 2}, "a": 1}), &[("y", "2"), ("x", "1")]);
        let other = fingerprint("filter", &json!({"a": 1, "b": {"c": 2, "d": 4}}), &[("x", "1"), ("y", "2")]);
        assert_eq!(one, same);
        assert_ne!(one, other);
    }

    #[test]
    fn a_changed_need_changes_what_follows() {
        let of = |need| fingerprint("pair", &json!({}), &[("chosen", need)]);
        assert_ne!(of("1"), of("2"));
    }
}
