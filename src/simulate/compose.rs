//! From true code to an answer: bugs and habits, if any, then the dress that strong and weak answers share.

use crate::python::{Parser, Unit};

use super::dice::Dice;
use super::dress::{dress, fenced};
use super::edit::Edits;
use super::habits::habits;
use super::mutate;
use super::survey::Survey;

/// What an answer is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quality {
    /// Probability that it has bugs.
    pub bugs: f64,
    /// Probability of each unidiomatic habit.
    pub habits: f64,
    /// Probability that code with bugs does not parse.
    pub broken: f64,
}

/// Code with its history.
pub(super) struct Composed {
    pub code: String,
    /// Bugs that were made.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests measure by it"))]
    pub bugs: usize,
}

/// Rewrites `text` as a model of this quality would write it.
pub(super) fn code(parser: &mut Parser, text: &str, quality: Quality, dice: &mut Dice) -> Composed {
    // Whole lines make moving statements simple; the fence cuts the line end off again.
    let text = format!("{}\n", text.trim_end());
    let parsed = parser.parse(&text);
    let Some(tree) = parsed.tree() else {
        return Composed { code: text, bugs: 0 };
    };
    let survey = Survey::new(tree, &text);
    let mut edits = Edits::default();
    let mut bugs = 0;
    let buggy = dice.chance(quality.bugs);
    if buggy {
        let wanted = wanted_bugs(&survey, dice);
        bugs = mutate::bugs(&survey, dice, wanted, &mut edits);
    }
    habits(&survey, quality.habits, dice, &mut edits);
    dress(&survey, dice, &mut edits);
    let mut code = edits.apply(&text);
    if buggy && dice.chance(quality.broken) {
        code = mutate::break_syntax(&code, dice);
        bugs += 1;
    }
    Composed { code, bugs }
}

/// One to four, fewer in short code.
fn wanted_bugs(survey: &Survey<'_>, dice: &mut Dice) -> usize {
    let drawn = match dice.unit() {
        u if u < 0.4 => 1,
        u if u < 0.7 => 2,
        u if u < 0.88 => 3,
        _ => 4,
    };
    drawn.min(survey.statements.len() / 2).max(1)
}

/// The answer that holds the code of a snippet.
pub(super) fn answer(parser: &mut Parser, text: &str, quality: Quality, dice: &mut Dice) -> String {
    let composed = code(parser, text, quality, dice);
    fenced(&composed.code, dice)
}

/// Something plausible for a description that matches nothing in the corpus: a stub with the name that it mentions.
pub(super) fn stub(message: &str, unit: Unit, dice: &mut Dice) -> String {
    let mention = super::mention::spans(message).into_iter().map(|(span, _)| span).find(|span| is_head(span));
    let head = mention.map_or_else(|| "solve(value)".to_owned(), |span| span.replace('.', "_"));
    let head = if head.contains('(') { head } else { format!("{head}()") };
    let remark = dice.word(&["Follow the description.", "Do what was asked.", "As described."]);
    let code = if unit == Unit::Class {
        format!("class {head}:\n    \"\"\"{remark}\"\"\"\n\n    def __init__(self):\n        self.value = None")
    } else {
        let result = dice.word(&["None", "[]", "{}", "True", "0"]);
        format!("def {head}:\n    \"\"\"{remark}\"\"\"\n    result = {result}\n    return result")
    };
    fenced(&code, dice)
}

fn is_head(span: &str) -> bool {
    let (name, rest) = span.split_once('(').unwrap_or((span, ")"));
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    !name.is_empty()
        && name.chars().all(word)
        && !name.starts_with(|c: char| c.is_numeric() || c == '.')
        && !name.ends_with('.')
        && rest.ends_with(')')
        && rest.chars().all(|c| word(c) || matches!(c, ',' | ' ' | '*' | '/' | ')'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::python::{Limits, code_from_answer, syntax_fault};

    const STRONG: Quality = Quality { bugs: 0.03, habits: 0.03, broken: 0.05 };
    const WEAK: Quality = Quality { bugs: 0.9, habits: 0.25, broken: 0.05 };

    struct Pair {
        chosen: String,
        rejected: String,
    }

    /// Pairs for every function and method of `sources`, `samples` each.
    fn pairs(sources: &[String], samples: u32) -> Vec<Pair> {
        let mut parser = Parser::new();
        let mut found = Vec::new();
        for source in sources {
            let parsed = parser.parse(source);
            let limits = Limits { min_lines: 3, max_lines: 120, ..Limits::default() };
            for snippet in parsed.snippets(source, &[Unit::Function, Unit::Method], &limits) {
                for sample in 0..samples {
                    let dice = |role: &[u8]| Dice::of(&[role, snippet.text.as_bytes(), &sample.to_le_bytes()]);
                    let chosen = code(&mut parser, &snippet.text, STRONG, &mut dice(b"strong")).code;
                    let rejected = code(&mut parser, &snippet.text, WEAK, &mut dice(b"weak")).code;
                    if chosen != rejected {
                        found.push(Pair { chosen, rejected });
                    }
                }
            }
        }
        found
    }

    /// Accuracy of the best rule that looks at lengths only: a threshold on the ratio of the longer to the shorter
    /// text, with the longer or the shorter one taken on each side of it. Ties are guessed.
    fn best_length_rule(pairs: &[Pair], length: impl Fn(&str) -> usize) -> f64 {
        let mut ratios: Vec<(f64, f64)> = pairs
            .iter()
            .map(|pair| {
                let (a, b) = (length(&pair.chosen) as f64, length(&pair.rejected) as f64);
                let longer = if a > b {
                    1.0
                } else if a < b {
                    0.0
                } else {
                    0.5
                };
                (a.max(b) / a.min(b).max(1.0), longer)
            })
            .collect();
        ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
        let n = ratios.len() as f64;
        let all: f64 = ratios.iter().map(|(_, longer)| longer).sum();
        let (mut below, mut best) = (0.0, 0.0f64);
        for (k, (_, longer)) in ratios.iter().enumerate() {
            let (under, over) = (k as f64, n - k as f64);
            let score = f64::max(below, under - below) + f64::max(all - below, over - (all - below));
            best = best.max(score / n);
            below += longer;
        }
        best
    }

    fn fixtures() -> Vec<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/python");
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    fn assert_no_length_rule(pairs: &[Pair]) {
        let bytes = best_length_rule(pairs, str::len);
        let lines = best_length_rule(pairs, |code| code.lines().count());
        assert!(bytes <= 0.60 && lines <= 0.60, "bytes {bytes:.3}, lines {lines:.3}");
    }

    #[test]
    fn length_alone_does_not_tell_chosen_from_rejected() {
        let pairs = pairs(&fixtures(), 30);
        assert!(pairs.len() > 1000, "{}", pairs.len());
        assert_no_length_rule(&pairs);
    }

    #[test]
    #[ignore = "reads the Python files named by CODEPMP_TEST_PYTHON, a file with one path a line"]
    fn length_alone_does_not_tell_on_a_large_corpus() {
        let list = std::fs::read_to_string(std::env::var("CODEPMP_TEST_PYTHON").unwrap()).unwrap();
        let sources: Vec<String> = list.lines().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        let pairs = pairs(&sources, 1);
        let mut parser = Parser::new();
        let sound = pairs.iter().filter(|pair| syntax_fault(&mut parser, &pair.rejected).is_none()).count();
        let longer = pairs.iter().filter(|pair| pair.chosen.len() > pair.rejected.len()).count();
        let n = pairs.len() as f64;
        eprintln!(
            "{} pairs; best rule by bytes {:.3}, by lines {:.3}; chosen longer {:.3}; rejected parses {:.3}",
            pairs.len(),
            best_length_rule(&pairs, str::len),
            best_length_rule(&pairs, |code| code.lines().count()),
            longer as f64 / n,
            sound as f64 / n,
        );
        assert_no_length_rule(&pairs);
    }

    #[test]
    fn most_weak_code_parses_and_some_does_not() {
        let pairs = pairs(&fixtures(), 10);
        let mut parser = Parser::new();
        let sound = |code: &str, parser: &mut Parser| syntax_fault(parser, code).is_none();
        let weak = pairs.iter().filter(|pair| sound(&pair.rejected, &mut parser)).count() as f64;
        let strong = pairs.iter().filter(|pair| sound(&pair.chosen, &mut parser)).count() as f64;
        let n = pairs.len() as f64;
        assert!(weak / n > 0.9 && weak < n, "{}", weak / n);
        assert!(strong / n > 0.99, "{}", strong / n);
    }

    #[test]
    fn the_shares_of_answers_with_bugs_are_held() {
        let mut parser = Parser::new();
        let source = fixtures().remove(0);
        let text = parser.parse(&source).snippets(&source, &[Unit::Function], &Limits::default()).remove(0).text;
        let mut share = |quality: Quality| {
            let buggy =
                (0..400u32).filter(|n| code(&mut parser, &text, quality, &mut Dice::of(&[&n.to_le_bytes()])).bugs > 0);
            buggy.count() as f64 / 400.0
        };
        assert!((0.85..0.95).contains(&share(WEAK)));
        assert!((0.0..0.07).contains(&share(STRONG)));
    }

    #[test]
    fn a_stub_takes_its_name_from_the_description() {
        let answer = stub("Write `Reader.fetch(url, *more)` please, not `x y`.", Unit::Function, &mut Dice::of(&[]));
        let code = code_from_answer(&answer).code;
        assert!(code.starts_with("def Reader_fetch(url, *more):"), "{code}");
        assert_eq!(syntax_fault(&mut Parser::new(), &code), None);
        assert!(stub("no name here", Unit::Class, &mut Dice::of(&[])).contains("class solve(value)"));
    }
}
