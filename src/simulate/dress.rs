//! What differs between two authors of the same code: docstrings, comments, blank lines, words around the code.
//!
//! Strong and weak answers are dressed by the same rules, drawn apart. That is what keeps length from telling them
//! apart: it moves by more here than by a bug.

use crate::python::{Kind, kind_of};

use super::dice::Dice;
use super::edit::{Edit, Edits};
use super::survey::{Statement, Survey};
use super::wording::{first_sentence, words_of};

/// Adds changes of docstrings, comments and blank lines to `edits`.
pub(super) fn dress(survey: &Survey<'_>, dice: &mut Dice, edits: &mut Edits) {
    docstrings(survey, dice, edits);
    if survey.comments.is_empty() {
        added_comments(survey, dice, edits);
    } else if dice.chance(0.2) {
        for comment in &survey.comments {
            let edit = without_comment(survey.text, comment.byte_range());
            edits.take(survey.text, vec![edit]);
        }
    }
    if dice.chance(0.15) {
        for blank in blank_lines(survey) {
            edits.take(survey.text, vec![blank]);
        }
    }
}

fn docstrings(survey: &Survey<'_>, dice: &mut Dice, edits: &mut Edits) {
    let mut any = false;
    for block in &survey.blocks {
        let Some(first) = block.statements.first().and_then(|n| survey.statements.get(*n)) else {
            continue;
        };
        if !first.docstring || !first.whole {
            continue;
        }
        any = true;
        let style = dice.unit();
        let bare = block.statements.len() > 1 && block.owner != Kind::Other;
        let edit = if style < 0.15 && bare {
            Some(Edit::delete(first.lines.clone()))
        } else if style < 0.4 {
            condensed(survey.text, first)
        } else {
            None
        };
        edits.take(survey.text, edit.into_iter().collect());
    }
    if !any && dice.chance(0.3) {
        edits.take(survey.text, added_docstring(survey, dice).into_iter().collect());
    }
}

/// Keeps the first sentence of a docstring.
fn condensed(text: &str, statement: &Statement<'_>) -> Option<Edit> {
    let literal = text.get(statement.node.byte_range())?;
    let inner = literal.strip_prefix("\"\"\"")?.strip_suffix("\"\"\"")?;
    let sentence = first_sentence(inner);
    (!sentence.is_empty() && !sentence.contains('\\'))
        .then(|| Edit::replace(statement.node.byte_range(), format!("\"\"\"{sentence}\"\"\"")))
}

/// A docstring made of the name's words, for a function that has none.
fn added_docstring(survey: &Survey<'_>, dice: &mut Dice) -> Option<Edit> {
    let block = survey.blocks.iter().find(|block| block.owner == Kind::Function)?;
    let first = survey.statements.get(*block.statements.first()?)?;
    if !first.whole {
        return None;
    }
    let owner = first.node.parent()?.parent()?;
    let name = survey.text.get(owner.child_by_field_name("name")?.byte_range())?;
    let words = words_of(name).join(" ");
    let indent = survey.indent(first);
    let text = match dice.below(4) {
        0 => format!("{indent}\"\"\"{}.\"\"\"\n", capital(&words)),
        1 => format!("{indent}\"\"\"Implement `{name}`.\"\"\"\n"),
        2 => format!("{indent}\"\"\"{}: see the description.\"\"\"\n", capital(&words)),
        _ => format!("{indent}\"\"\"\n{indent}{}.\n{indent}\"\"\"\n", capital(&words)),
    };
    Some(Edit::insert(first.lines.start, text))
}

fn capital(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn added_comments(survey: &Survey<'_>, dice: &mut Dice, edits: &mut Edits) {
    let places: Vec<&Statement<'_>> =
        survey.statements.iter().filter(|s| s.whole && !s.docstring && s.scope != 0).collect();
    let count = if dice.chance(0.35) { 1 + dice.below(3) } else { 0 };
    for _ in 0..count {
        if let Some(place) = dice.pick(&places) {
            let indent = survey.indent(place);
            let text = comment_for(place, dice);
            edits.take(survey.text, vec![Edit::insert(place.lines.start, format!("{indent}# {text}\n"))]);
        }
    }
}

fn comment_for(statement: &Statement<'_>, dice: &mut Dice) -> &'static str {
    let inner = statement.node.child(0).map_or(Kind::Other, kind_of);
    match (statement.kind, inner) {
        (Kind::If, _) => dice.word(&["check the condition", "only in this case", "special case"]),
        (Kind::For | Kind::While, _) => dice.word(&["go through the values", "one after the other", "loop until done"]),
        (Kind::Return, _) => dice.word(&["the result", "hand the result back", "done"]),
        (Kind::Raise, _) => dice.word(&["tell the caller what is wrong", "this is an error"]),
        (Kind::Try, _) => dice.word(&["this may fail", "be ready for errors here"]),
        (_, Kind::Assignment) => dice.word(&["remember this for later", "set up", "compute the value"]),
        _ => dice.word(&["do the work", "next", "apply the change"]),
    }
}

/// Deletes a comment: its line if it stands alone, else with the white space before it.
fn without_comment(text: &str, comment: std::ops::Range<usize>) -> Edit {
    let line = text[..comment.start].rfind('\n').map_or(0, |at| at + 1);
    let before = text[line..comment.start].trim_end();
    if before.is_empty() && comment.end < text.len() {
        Edit::delete(line..comment.end + 1)
    } else {
        Edit::delete(line + before.len()..comment.end)
    }
}

/// Blank lines between statements.
fn blank_lines(survey: &Survey<'_>) -> Vec<Edit> {
    let mut found = Vec::new();
    for statement in survey.statements.iter().filter(|s| s.whole && s.scope != 0) {
        let before = &survey.text[..statement.lines.start];
        let kept = before.trim_end_matches(['\n', ' ', '\t']).len();
        if let Some(end) = before[kept..].find('\n')
            && kept + end + 1 < before.len()
        {
            found.push(Edit::delete(kept + end + 1..before.len()));
        }
    }
    found
}

/// Puts code into an answer: a fence, now and then with a sentence before or after it.
pub(super) fn fenced(code: &str, dice: &mut Dice) -> String {
    let lead = if dice.chance(0.25) {
        dice.word(&[
            "Here is the code:\n\n",
            "Here is an implementation:\n\n",
            "Sure, this does what you describe:\n\n",
            "You can implement it like this:\n\n",
        ])
    } else {
        ""
    };
    let trail = if dice.chance(0.1) {
        dice.word(&["\n\nLet me know if anything is unclear.", "\n\nThis follows the description."])
    } else {
        ""
    };
    // A fence inside the code must not close the one around it.
    let fence = if code.contains("```") { "````" } else { "```" };
    format!("{lead}{fence}python\n{}\n{fence}{trail}", code.trim_end())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::python::{Parser, code_from_answer, syntax_fault};

    const CODE: &str = "\
def area(radius):
    \"\"\"Return the area. More words\n    follow here.\n    \"\"\"
    # a remark
    square = radius ** 2  # another

    return 3 * square
";

    fn dressed(code: &str) -> Vec<String> {
        let parsed = Parser::new().parse(code);
        let survey = Survey::new(parsed.tree().unwrap(), code);
        (0..200u32)
            .map(|n| {
                let mut edits = Edits::default();
                dress(&survey, &mut Dice::of(&[&n.to_le_bytes()]), &mut edits);
                edits.apply(code)
            })
            .collect()
    }

    #[test]
    fn every_dress_still_parses() {
        let mut parser = Parser::new();
        for code in dressed(CODE).into_iter().chain(dressed("def f_x(a):\n    if a:\n        a += 1\n    return a")) {
            assert_eq!(syntax_fault(&mut parser, &code), None, "{code}");
        }
    }

    #[test]
    fn docstrings_are_kept_condensed_or_dropped_and_comments_too() {
        let all = dressed(CODE);
        let has = |test: &dyn Fn(&String) -> bool| all.iter().any(test);
        assert!(has(&|code| code == CODE));
        assert!(has(&|code| code.contains("\"\"\"Return the area.\"\"\"\n")));
        assert!(has(&|code| !code.contains("Return the area")));
        assert!(has(&|code| !code.contains('#') && code.contains("square = radius ** 2\n")));
    }

    #[test]
    fn an_answer_gives_the_code_back() {
        for n in 0..20u32 {
            let answer = fenced("x = '''\n```\n'''\n", &mut Dice::of(&[&n.to_le_bytes()]));
            assert_eq!(code_from_answer(&answer).code, "x = '''\n```\n'''");
        }
    }
}
