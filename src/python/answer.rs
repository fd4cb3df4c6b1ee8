//! The code in a model's answer: fences taken off, prose left behind.

use serde::{Deserialize, Serialize};

use super::parse::{Parsed, Parser};

/// How the code stood in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerForm {
    /// One code block.
    Fenced,
    /// Several code blocks, of which one was taken.
    Several,
    /// No code block; the text itself is code, or code begins in it.
    Bare,
    /// No code block and nothing that reads as code.
    NoCode,
}

/// What [`code_from_answer`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExtractedCode {
    /// The code without its margin and without blank lines at its ends; empty if there is none.
    pub code: String,
    /// How it stood there.
    pub form: AnswerForm,
    /// How many code blocks the answer has.
    pub blocks: u32,
    /// The block that was taken is not closed: the answer was cut, as at a token limit.
    pub unclosed: bool,
}

struct Block<'a> {
    python: bool,
    closed: bool,
    lines: Vec<&'a str>,
    bytes: usize,
}

/// Takes the code out of `answer`: of several blocks the longest that is marked as Python, else the longest; without
/// a block the text itself if it is code. An unclosed block reaches to the end.
pub fn code_from_answer(answer: &str) -> ExtractedCode {
    let blocks = blocks(answer);
    let count = blocks.len() as u32;
    // Ties go to the earlier block, which `max_by_key` would not do.
    let best = blocks.iter().rev().max_by_key(|block| (block.bytes > 0, block.python, block.bytes));
    if let Some(block) = best {
        let code = without_margin(&block.lines);
        let form = match (code.is_empty(), count) {
            (true, _) => AnswerForm::NoCode,
            (false, 1) => AnswerForm::Fenced,
            (false, _) => AnswerForm::Several,
        };
        return ExtractedCode { code, form, blocks: count, unclosed: !block.closed };
    }
    let code = bare_code(answer);
    let form = if code.is_empty() { AnswerForm::NoCode } else { AnswerForm::Bare };
    ExtractedCode { code, form, blocks: 0, unclosed: false }
}

/// Fenced blocks after CommonMark, but that a fence may be indented by any amount. A closing fence stands at most
/// three columns deeper than the opening one, so fences inside an indented docstring close nothing.
fn blocks(answer: &str) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut open: Option<(char, usize, usize)> = None;
    for line in answer.lines() {
        let rest = line.trim_start();
        let indent = line.len() - rest.len();
        let mark = rest.chars().next().filter(|c| matches!(c, '`' | '~'));
        let run = mark.map_or(0, |mark| rest.chars().take_while(|c| *c == mark).count());
        let info = rest[run..].trim();
        match (open, mark) {
            (None, Some(mark)) if run >= 3 && !info.contains('`') => {
                let tag = info.split_whitespace().next().unwrap_or_default();
                let tag = tag.trim_matches(['{', '}', '.']).to_ascii_lowercase();
                let python = matches!(tag.as_str(), "python" | "py" | "python3" | "py3");
                found.push(Block { python, closed: false, lines: Vec::new(), bytes: 0 });
                open = Some((mark, run, indent));
            }
            (Some((fence, length, depth)), Some(mark))
                if mark == fence && run >= length && info.is_empty() && indent <= depth + 3 =>
            {
                if let Some(block) = found.last_mut() {
                    block.closed = true;
                }
                open = None;
            }
            (Some(_), _) => {
                if let Some(block) = found.last_mut() {
                    block.lines.push(line);
                    block.bytes += rest.trim_end().len();
                }
            }
            (None, _) => {}
        }
    }
    found
}

fn without_margin(lines: &[&str]) -> String {
    let margin = lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start_matches([' ', '\t']).len())
        .min()
        .unwrap_or(0);
    let cut: Vec<&str> = lines.iter().map(|line| line.get(margin..).unwrap_or_default()).collect();
    cut.join("\n").trim_matches('\n').trim_end().to_owned()
}

/// The code of an answer without fences: all of it if it is sound code; else from the first line that begins like
/// code, less the paragraphs at the end that keep it from being sound.
fn bare_code(answer: &str) -> String {
    let lines: Vec<&str> = answer.lines().collect();
    let mut parser = Parser::new();
    let whole = without_margin(&lines);
    let sound = |parsed: &Parsed| parsed.errors() == 0 && parsed.does_something();
    if sound(&parser.parse(&whole)) {
        return whole;
    }
    let Some(first) = lines.iter().position(|line| begins_code(line)) else {
        return String::new();
    };
    let rest = without_margin(&lines[first..]);
    let mut candidate = rest.as_str();
    for _ in 0..8 {
        if sound(&parser.parse(candidate)) {
            return candidate.to_owned();
        }
        match candidate.rfind("\n\n") {
            Some(end) => candidate = candidate[..end].trim_end(),
            None => break,
        }
    }
    rest
}

fn begins_code(line: &str) -> bool {
    let line = line.trim_end();
    let import = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().take(4).collect();
        match words.as_slice() {
            ["import", module] => !module.ends_with('.'),
            ["import", module, "as", _] => !module.ends_with(['.', ',']),
            ["import", module, ..] => module.ends_with(','),
            ["from", _, "import", _] => true,
            _ => false,
        }
    };
    let head = (line.starts_with("def ") || line.starts_with("async def ")) && line.contains('(')
        || line.starts_with("class ") && line.ends_with(':');
    head || import(line) || line.starts_with('@') && !line.contains(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(answer: &str) -> (String, AnswerForm, u32, bool) {
        let found = code_from_answer(answer);
        (found.code, found.form, found.blocks, found.unclosed)
    }

    #[test]
    fn one_block_is_taken_without_its_fence() {
        let answer = "Here it is:\n\n```python\ndef f():\n    return 1\n```\nEnjoy.";
        assert_eq!(code(answer), ("def f():\n    return 1".into(), AnswerForm::Fenced, 1, false));
    }

    #[test]
    fn of_several_blocks_the_longest_python_one_is_taken() {
        let answer = "```python\nx = 1\n```\n```\na much longer block of plain output\n```\n~~~py\ny = 22\n~~~";
        assert_eq!(code(answer), ("y = 22".into(), AnswerForm::Several, 3, false));
        assert_eq!(code("```\na = 1\n```\n```sh\nls\n```").0, "a = 1");
    }

    #[test]
    fn an_unclosed_block_reaches_to_the_end_and_is_flagged() {
        let answer = "Sure:\n```python\ndef f():\n    return 1 +";
        assert_eq!(code(answer), ("def f():\n    return 1 +".into(), AnswerForm::Fenced, 1, true));
    }

    #[test]
    fn an_indented_fence_loses_its_margin() {
        assert_eq!(code("1. So:\n   ```py\n   def f():\n       pass\n   ```").0, "def f():\n    pass");
    }

    #[test]
    fn a_fence_inside_a_docstring_does_not_close_the_block() {
        let answer = "```python\ndef f():\n    \"\"\"Do.\n\n    ```\n    f()\n    ```\n    \"\"\"\n```";
        let found = code(answer);
        assert!(found.0.ends_with("\"\"\""));
        assert_eq!((found.2, found.3), (1, false));
    }

    #[test]
    fn code_without_a_fence_is_taken_as_it_is() {
        let answer = "import os\n\ndef f():\n    return os.sep\n";
        assert_eq!(code(answer), (answer.trim_end().into(), AnswerForm::Bare, 0, false));
    }

    #[test]
    fn prose_around_unfenced_code_is_left_behind() {
        let answer = "You can do this:\n\ndef f(x):\n    return x\n\nThis returns its argument.";
        assert_eq!(code(answer).0, "def f(x):\n    return x");
    }

    #[test]
    fn broken_code_without_a_fence_is_still_code() {
        assert_eq!(code("def f(x:\n    return x\n").1, AnswerForm::Bare);
    }

    #[test]
    fn prose_is_no_code() {
        for answer in
            ["", "Sorry", "I cannot help with that.", "yes, no", "```python\n```", "from here on, import duties rise."]
        {
            assert_eq!(code(answer).1, AnswerForm::NoCode, "{answer}");
            assert!(code(answer).0.is_empty());
        }
    }
}
