//! A completion in pieces, as server-sent events.

use serde_json::{Value, json};

use super::protocol::Completion;

/// Characters of one piece, about.
const PIECE: usize = 24;

/// The events of a streamed completion, each with its blank line; the last one is `[DONE]`.
pub(super) fn events(completion: &Completion, with_usage: bool) -> Vec<String> {
    let mut found = Vec::new();
    for choice in &completion.choices {
        let delta = |delta: &Value, finish: Option<&Value>| json!([{"index": choice.index, "delta": delta, "logprobs": null, "finish_reason": finish}]);
        found.push(event(completion, &delta(&json!({"role": "assistant", "content": ""}), None), None, with_usage));
        let mut rest = choice.message.content.as_str();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.ceil_char_boundary(PIECE));
            found.push(event(completion, &delta(&json!({"content": piece}), None), None, with_usage));
            rest = after;
        }
        let finish = json!(choice.finish_reason);
        found.push(event(completion, &delta(&json!({}), Some(&finish)), None, with_usage));
    }
    if with_usage {
        found.push(event(completion, &json!([]), Some(json!(completion.usage)), true));
    }
    found.push("data: [DONE]\n\n".to_owned());
    found
}

fn event(completion: &Completion, choices: &Value, usage: Option<Value>, with_usage: bool) -> String {
    let mut chunk = json!({
        "id": completion.id,
        "object": "chat.completion.chunk",
        "created": completion.created,
        "model": completion.model,
        "system_fingerprint": completion.system_fingerprint,
        "choices": choices,
    });
    if with_usage {
        chunk["usage"] = usage.unwrap_or(Value::Null);
    }
    format!("data: {chunk}\n\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::protocol::{Choice, FinishReason, Reply, Usage};
    use super::*;

    #[test]
    fn the_pieces_make_up_the_content_and_the_usage_comes_last() {
        let content = "é".repeat(40) + "\nend";
        let message = Reply { role: "assistant", content: content.clone() };
        let completion = Completion {
            id: "x".into(),
            object: "chat.completion",
            created: 1,
            model: "simulated-weak".into(),
            choices: vec![Choice { index: 0, message, logprobs: None, finish_reason: FinishReason::Stop }],
            usage: Usage { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
            system_fingerprint: "simulator",
        };
        let all = events(&completion, true);
        assert_eq!(all.last().unwrap(), "data: [DONE]\n\n");
        let chunks: Vec<Value> = all[..all.len() - 1]
            .iter()
            .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
            .collect();
        let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text, content);
        assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 3);
        assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
        assert!(events(&completion, false).iter().all(|event| !event.contains("usage")));
    }
}
