//! An answer that was cut at the token limit, asked for in further parts.
//!
//! What the model has written goes back to it as its own message, with the request to go on. That works with every chat
//! server, unlike an open assistant message, which some continue and others answer anew. The parts are joined as they are,
//! but for a code fence that the model opens anew at the start of a part although the last one is still open.

use super::{Answer, ChatRequest, Message, Role};

/// What the model is asked for after its cut answer.
const GO_ON: &str = "Your answer was cut off at the token limit. Go on exactly where it stops, in the middle of a line or \
                     word if need be. Repeat nothing and add nothing around it.";

/// The parts of one answer so far.
#[derive(Debug)]
pub(super) struct Parts<'r> {
    request: &'r ChatRequest,
    most: u8,
    got: u8,
    text: String,
    /// The request for the part after the first.
    next: Option<ChatRequest>,
}

impl<'r> Parts<'r> {
    pub(super) fn new(request: &'r ChatRequest, most: u8) -> Self {
        Self { request, most, got: 0, text: String::new(), next: None }
    }

    /// The request to send now.
    pub(super) fn request(&self) -> &ChatRequest {
        self.next.as_ref().unwrap_or(self.request)
    }

    /// Takes a part that was cut; whether another one is to be asked for.
    pub(super) fn cut(&mut self, part: &str) -> bool {
        if self.got + 1 >= self.most || part.trim().is_empty() {
            return false;
        }
        self.got += 1;
        self.text = self.join(part);
        let mut next = self.request.clone();
        next.messages.push(Message { role: Role::Assistant, content: self.text.clone() });
        next.messages.push(Message { role: Role::User, content: GO_ON.to_owned() });
        self.next = Some(next);
        true
    }

    /// Puts the parts before it in front of the last one.
    pub(super) fn complete(&self, answer: &mut Answer) {
        if self.got > 0 {
            answer.text = self.join(&answer.text);
        }
    }

    fn join(&self, part: &str) -> String {
        let start = part.trim_start_matches('\n');
        let open = self.text.lines().filter(|line| line.trim_start().starts_with("```")).count() % 2 == 1;
        let reopened = open && start.starts_with("```") && start.lines().next().is_some_and(|line| line.len() > 3);
        let rest = if reopened { start.split_once('\n').map_or("", |(_, rest)| rest) } else { part };
        format!("{}{rest}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{FinishReason, Usage};
    use super::*;

    fn request() -> ChatRequest {
        let messages = vec![Message { role: Role::User, content: "write".to_owned() }];
        ChatRequest { model: "m".into(), messages, sampling: Arc::default(), sample: 0 }
    }

    fn joined(parts: &[&str]) -> String {
        let request = request();
        let mut all = Parts::new(&request, 9);
        let (last, cut) = parts.split_last().map_or(("", &[][..]), |(last, cut)| (*last, cut));
        for part in cut {
            assert!(all.cut(part));
        }
        let mut answer =
            Answer { text: last.to_owned(), finish_reason: FinishReason::Stop, usage: Usage::default(), model: None };
        all.complete(&mut answer);
        answer.text
    }

    #[test]
    fn parts_are_joined_as_they_are() {
        assert_eq!(joined(&["def f():\n    ret", "urn 1\n"]), "def f():\n    return 1\n");
        assert_eq!(joined(&["a ", "b ", "c"]), "a b c");
        assert_eq!(joined(&["whole"]), "whole");
    }

    #[test]
    fn a_fence_that_is_opened_anew_inside_of_an_open_one_is_left_out() {
        assert_eq!(joined(&["```python\nx = 1\n", "```python\ny = 2\n```"]), "```python\nx = 1\ny = 2\n```");
        assert_eq!(joined(&["```python\nx = 1\n", "```\n"]), "```python\nx = 1\n```\n");
        assert_eq!(joined(&["text\n", "```python\nx\n```"]), "text\n```python\nx\n```");
    }

    #[test]
    fn the_model_is_shown_all_that_it_wrote_and_asked_to_go_on_so_often_and_no_more() {
        let request = request();
        let mut parts = Parts::new(&request, 3);
        assert!(parts.cut("one "));
        assert!(parts.cut("two "));
        let asked = parts.request();
        assert_eq!(asked.messages.len(), 3);
        assert_eq!((asked.messages[1].role, asked.messages[1].content.as_str()), (Role::Assistant, "one two "));
        assert!(!parts.cut("three "));
        assert!(!Parts::new(&request, 1).cut("cut"));
        assert!(!Parts::new(&request, 3).cut(" "));
    }
}
