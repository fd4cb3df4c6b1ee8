//! An answer that comes piece by piece, as server-sent events, put together as it comes.
//!
//! Events are lines of `data:` up to a blank line (WHATWG, "Server-sent events"); other fields and comments, with which some
//! servers keep a line open, are passed over. `[DONE]` ends the answer; so does the end of the stream once the model has
//! said why it stopped.

use serde::Deserialize;
use serde_json::Value;

use super::wire::{Choice, Content, Reply, ReplyMessage, ReplyUsage};

/// A piece of an answer.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<ChunkChoice>>,
    #[serde(default)]
    usage: Option<ReplyUsage>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    #[serde(default)]
    index: u32,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Content,
    #[serde(default)]
    refusal: Option<String>,
}

/// What has come of an answer.
#[derive(Default)]
pub(super) struct Stream {
    line: Vec<u8>,
    data: String,
    text: String,
    refusal: String,
    finish_reason: Option<String>,
    usage: Option<ReplyUsage>,
    model: Option<String>,
    error: Option<Value>,
    /// An event that is no piece of an answer, and why.
    malformed: Option<String>,
    any: bool,
    done: bool,
}

impl Stream {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.take_line(line.strip_suffix(b"\r").unwrap_or(&line));
        }
        self.line.extend_from_slice(bytes);
    }

    fn take_line(&mut self, line: &[u8]) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.data);
            self.take_event(event.trim());
        } else if let Some(data) = line.strip_prefix(b"data:") {
            if !self.data.is_empty() {
                self.data.push('\n');
            }
            self.data.push_str(String::from_utf8_lossy(data).trim_start());
        }
    }

    fn take_event(&mut self, event: &str) {
        match event {
            "" => {}
            "[DONE]" => self.done = true,
            _ => match serde_json::from_str::<Chunk>(event) {
                Ok(chunk) => self.take_chunk(chunk),
                Err(error) => {
                    self.malformed.get_or_insert_with(|| format!("not a piece of an answer ({error}): {event}"));
                }
            },
        }
    }

    fn take_chunk(&mut self, chunk: Chunk) {
        self.any |= chunk.choices.is_some();
        for choice in chunk.choices.into_iter().flatten().filter(|choice| choice.index == 0) {
            if let Some(delta) = choice.delta {
                self.text.push_str(delta.content.0.as_deref().unwrap_or_default());
                self.refusal.push_str(delta.refusal.as_deref().unwrap_or_default());
            }
            self.finish_reason = choice.finish_reason.or(self.finish_reason.take());
        }
        self.usage = chunk.usage.or(self.usage.take());
        self.model = chunk.model.or(self.model.take());
        self.error = chunk.error.or(self.error.take());
    }

    /// Whether the first piece of text has come.
    pub(super) fn has_begun(&self) -> bool {
        !(self.text.is_empty() && self.refusal.is_empty())
    }

    /// Whether the server has said that this is all.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the answer is whole, or an error in its place is, whatever comes or does not come after it.
    pub(super) fn is_whole(&self) -> bool {
        self.done || self.finish_reason.is_some() || self.error.is_some() || self.malformed.is_some()
    }

    /// How far it has come, for messages.
    pub(super) fn progress(&self) -> String {
        format!("{} characters of the answer", self.text.chars().count())
    }

    /// The reply that a server would have sent at once, or what is no piece of one.
    pub(super) fn into_reply(mut self) -> Result<Reply, String> {
        // The last event may lack its blank line.
        if !self.line.is_empty() || !self.data.is_empty() {
            self.push(b"\n\n");
        }
        if let Some(malformed) = self.malformed {
            return Err(malformed);
        }
        let text = Some(self.text);
        let refusal = Some(self.refusal).filter(|refusal| !refusal.is_empty());
        let message = ReplyMessage { content: Content(text), refusal };
        let choice = Choice { message: Some(message), finish_reason: self.finish_reason };
        // An error after pieces of an answer is the answer's end.
        let choices = (self.any && self.error.is_none()).then(|| vec![choice]);
        Ok(Reply { choices, usage: self.usage, model: self.model, error: self.error })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PIECES: &str = "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
        : still there\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\\u00e9\"},\"finish_reason\":null}],\"usage\":null}\r\n\r\n\
        event: message\nid: 7\ndata:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"llo ü\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n\
        data: [DONE]\n\n";

    fn text(reply: &Reply) -> &str {
        reply.choices.as_ref().unwrap()[0].message.as_ref().unwrap().content.0.as_deref().unwrap()
    }

    #[test]
    fn pieces_make_up_the_answer_wherever_they_are_cut() {
        for size in [1, 2, 3, 7, 64, 10_000] {
            let mut stream = Stream::default();
            let mut begun = None;
            for (at, bytes) in PIECES.as_bytes().chunks(size).enumerate() {
                assert!(!stream.is_done());
                stream.push(bytes);
                begun = begun.or(stream.has_begun().then_some(at * size));
            }
            assert!(stream.is_done() && stream.is_whole());
            assert!(begun.unwrap() + size > PIECES.find("u00e9").unwrap(), "the first piece is empty");
            let reply = stream.into_reply().unwrap();
            assert_eq!(text(&reply), "héllo ü");
            assert_eq!(reply.choices.as_ref().unwrap()[0].finish_reason.as_deref(), Some("stop"));
            assert_eq!(reply.usage.unwrap().completion_tokens.0, Some(2));
            assert_eq!(reply.model.as_deref(), Some("m"));
        }
    }

    #[test]
    fn an_answer_is_whole_when_the_model_has_said_why_it_stopped() {
        let mut stream = Stream::default();
        stream.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
        assert!(!stream.is_whole());
        stream.push(b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n");
        assert!(stream.is_whole() && !stream.is_done());
    }

    #[test]
    fn an_error_in_the_stream_takes_the_place_of_the_answer() {
        let mut stream = Stream::default();
        stream.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
        stream.push(b"data: {\"error\":{\"message\":\"upstream is gone\",\"code\":502}}\n\n");
        assert!(stream.is_whole());
        let reply = stream.into_reply().unwrap();
        assert!(reply.choices.is_none() && reply.error.is_some());
    }

    #[test]
    fn what_is_no_piece_is_told() {
        let mut stream = Stream::default();
        stream.push(b"data: {\"choices\": [{\"del\n\n");
        assert!(stream.is_whole());
        assert!(stream.into_reply().err().unwrap().contains("not a piece"));
        let mut stream = Stream::default();
        stream.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}");
        assert_eq!(text(&stream.into_reply().unwrap()), "a");
    }
}
