//! Answers in MATH's style: expressions, and what is made of them: lists and sets, points and intervals, matrices,
//! equations and inequalities.
//!
//! What the rules say, where MATH's answers leave it open: a list is a set, whatever the order; a set of one is its member;
//! a point and an open interval look the same and are; `x = 5`, `x \in {5}` and `5` are the same answer; an inequality of
//! one variable is its interval; percent, degrees, money and units do not count.

use std::fmt::Write as _;

use super::expression::expression;
use super::sum::Sum;
use super::tokens::{Token, tokens};
use super::words;

/// Answers within answers, at most: a set of points of fractions is three.
const DEEPEST: usize = 12;

/// The normal form; of what is no mathematics, its words. None for nothing.
pub(super) fn canonical(answer: &str) -> Option<String> {
    let answer = tidy(answer);
    if answer.is_empty() {
        return None;
    }
    // Plain words of two letters or more are words: `even`, `AB`, `Monday`.
    let letters = |c: char| c.is_alphabetic() || c.is_whitespace() || c == '-' || c == '\'';
    if answer.chars().filter(|c| c.is_alphabetic()).count() > 1 && answer.chars().all(letters) && !is_name(answer) {
        return words::canonical(answer);
    }
    let cut = tokens(answer).map(|tokens| without_remarks(&tokens));
    match cut {
        Some((tokens, words)) if tokens.is_empty() => {
            let words = words.join(" ");
            // `\text{(B)}` is a choice, `\text{even}` is a word; never a way round in circles.
            if words.trim() == answer || words.contains('\\') { words::canonical(&words) } else { canonical(&words) }
        }
        Some((tokens, words)) => {
            let half = words.iter().find_map(|word| half_of_day(word));
            let whole = list(&tokens, 0).or_else(|| raw(answer))?;
            Some(half.map_or(whole.clone(), |half| format!("{whole} {half}")))
        }
        None => raw(answer),
    }
}

/// Names in letters that are mathematics.
fn is_name(answer: &str) -> bool {
    matches!(answer, "pi" | "infty" | "infinity" | "theta")
}

/// What cannot be read is compared as it is written, up to spacing and case.
fn raw(answer: &str) -> Option<String> {
    let words = words::canonical(answer)?;
    if words.contains(['\\', '{', '}', '^', '_', '=', '+', '*', '/', '(', ')', '<', '>']) {
        return Some(words.split_whitespace().collect());
    }
    Some(words)
}

/// Without the signs around an answer: dollars of LaTeX, stars of Markdown, a full stop.
fn tidy(answer: &str) -> &str {
    let mut answer = answer.trim();
    loop {
        let before = answer;
        for (open, close) in [("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"), ("**", "**"), ("`", "`")] {
            if let Some(inner) = answer.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)) {
                answer = inner.trim();
            }
        }
        // A full stop or a comma at the end, but for the dots of a sequence and `\,`.
        if !answer.ends_with("..") && !answer.ends_with("\\.") && !answer.ends_with("\\,") {
            answer = answer.strip_suffix(['.', ',', ';']).unwrap_or(answer).trim();
        }
        if answer == before {
            return answer;
        }
    }
}

/// The tokens without words in `\text`, and those words; `and` and `or` become commas.
fn without_remarks(all: &[Token]) -> (Vec<Token>, Vec<String>) {
    let (mut tokens, mut words) = (Vec::new(), Vec::new());
    let mut subscript = false;
    for token in all {
        match token {
            Token::Text(text) if !subscript => {
                let text = text.trim();
                if ["and", "or", ", and", ", or", ","].contains(&text.to_ascii_lowercase().as_str()) {
                    tokens.push(Token::Sign(','));
                } else if !text.is_empty() {
                    words.push(text.to_owned());
                }
            }
            other => tokens.push(other.clone()),
        }
        subscript = match token {
            Token::Sign('_') => true,
            Token::Sign('{') => subscript,
            _ => false,
        };
    }
    // A unit's power has nothing left to stand on: `5 \text{ cm}^2`.
    while let [.., Token::Sign('^'), Token::Number(..)] = tokens[..]
        && all.len() >= 3
        && matches!(all[all.len() - 3], Token::Text(_))
    {
        tokens.truncate(tokens.len() - 2);
    }
    if let [.., Token::Sign('^'), Token::Sign('{'), Token::Number(..), Token::Sign('}')] = tokens[..]
        && all.len() >= 5
        && matches!(all[all.len() - 5], Token::Text(_))
    {
        tokens.truncate(tokens.len() - 4);
    }
    // One comma after the other says no more than one, and one at the end nothing.
    tokens.dedup_by(|a, b| *a == Token::Sign(',') && *b == Token::Sign(','));
    if tokens.last() == Some(&Token::Sign(',')) {
        tokens.pop();
    }
    (tokens, words)
}

fn half_of_day(word: &str) -> Option<&'static str> {
    match word.to_ascii_lowercase().replace(['.', ' '], "").as_str() {
        "am" => Some("am"),
        "pm" => Some("pm"),
        _ => None,
    }
}

/// Members that commas part, as a set.
fn list(tokens: &[Token], depth: usize) -> Option<String> {
    if depth > DEEPEST {
        return None;
    }
    let parts = split(tokens, &[',', ';']);
    let mut members = Vec::new();
    for part in &parts {
        members.extend(member(part, depth)?);
    }
    // x = 1, x = 2 are values of one unknown; x = 1, y = 2 are not.
    let first = members.first()?.0.clone();
    let one_unknown = members.iter().all(|(unknown, _)| unknown.is_none() || first.is_none() || *unknown == first);
    let mut texts: Vec<String> = (members.into_iter())
        .map(|(unknown, text)| match unknown {
            Some(unknown) if !one_unknown => format!("{unknown}={text}"),
            _ => text,
        })
        .collect();
    texts.sort();
    texts.dedup();
    Some(texts.join("; "))
}

/// Positions of commas or other signs outside of all brackets part the tokens.
fn split<'t>(tokens: &'t [Token], at: &[char]) -> Vec<&'t [Token]> {
    let (mut parts, mut start) = (Vec::new(), 0);
    for (place, _) in outside(tokens, |token| matches!(token, Token::Sign(sign) if at.contains(sign))) {
        parts.push(&tokens[start..place]);
        start = place + 1;
    }
    parts.push(&tokens[start..]);
    parts
}

/// Tokens that `wanted` holds for, outside of all brackets, with their places.
fn outside(tokens: &[Token], wanted: impl Fn(&Token) -> bool) -> Vec<(usize, &Token)> {
    let (mut depth, mut found) = (0_i32, Vec::new());
    for (place, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(' | '[' | '{' | '⟦' | '⌊' | '⌈') | Token::Begin => depth += 1,
            Token::Sign(')' | ']' | '}' | '⟧' | '⌋' | '⌉') | Token::End => depth -= 1,
            token if depth == 0 && wanted(token) => found.push((place, token)),
            _ => {}
        }
    }
    found
}

/// An unknown, where the answer names one, and what it is.
type Member = (Option<String>, String);

fn member(tokens: &[Token], depth: usize) -> Option<Vec<Member>> {
    if !tokens.iter().any(|token| matches!(token, Token::Sign('±' | '∓'))) {
        return one(tokens, depth);
    }
    // Both signs at once: all upper ones, then all lower ones.
    let with = |plus: char, minus: char| -> Vec<Token> {
        let sign = |token: &Token| match token {
            Token::Sign('±') => Token::Sign(plus),
            Token::Sign('∓') => Token::Sign(minus),
            other => other.clone(),
        };
        tokens.iter().map(sign).collect()
    };
    let (upper, lower) = (with('+', '-'), with('-', '+'));
    Some([one(&upper, depth)?, one(&lower, depth)?].concat())
}

fn one(tokens: &[Token], depth: usize) -> Option<Vec<Member>> {
    let plain = |text: String| Some(vec![(None, text)]);
    let relations: Vec<(usize, &'static str)> = outside(tokens, |token| matches!(token, Token::Relation(_)))
        .into_iter()
        .filter_map(|(at, token)| match token {
            Token::Relation(name) => Some((at, *name)),
            _ => None,
        })
        .collect();
    let names: Vec<&str> = relations.iter().map(|(_, name)| *name).collect();
    let sides = || sides(tokens, &relations);
    match names[..] {
        [] => value(tokens, depth),
        ["in"] => match unknown(sides()[0]) {
            Some(name) => {
                Some(members(sides()[1], depth)?.into_iter().map(|(_, text)| (Some(name.clone()), text)).collect())
            }
            None => None,
        },
        _ if names.iter().all(|name| *name == "=") => equation(&sides(), depth),
        _ if names.iter().all(|name| *name == "cup" || *name == "in") => {
            let skip = usize::from(names[0] == "in" && unknown(sides()[0]).is_some());
            let parts: Option<Vec<String>> = sides()[skip..].iter().map(|side| list(side, depth + 1)).collect();
            let mut parts = parts?;
            parts.sort();
            parts.dedup();
            plain(parts.join(" U "))
        }
        _ if names.iter().all(|name| matches!(*name, "<" | "<=" | ">" | ">=")) => plain(inequality(&sides(), &names)?),
        _ => {
            let parts: Option<Vec<String>> = sides().iter().map(|side| list(side, depth + 1)).collect();
            let mut text = String::new();
            for (number, part) in parts?.iter().enumerate() {
                if number > 0 {
                    let _ = write!(text, " {} ", names[number - 1]);
                }
                text.push_str(part);
            }
            plain(text)
        }
    }
}

fn sides<'t>(tokens: &'t [Token], relations: &[(usize, &str)]) -> Vec<&'t [Token]> {
    let (mut sides, mut start) = (Vec::new(), 0);
    for (at, _) in relations {
        sides.push(&tokens[start..*at]);
        start = at + 1;
    }
    sides.push(&tokens[start..]);
    sides
}

/// The name that a side is: a variable, or a function of some.
fn unknown(side: &[Token]) -> Option<String> {
    if let [Token::Name(name), Token::Sign('('), inner @ .., Token::Sign(')')] = side
        && inner.iter().all(|token| matches!(token, Token::Name(_) | Token::Sign(',') | Token::Number(..)))
    {
        return Some(format!("{name}()"));
    }
    expression(side)?.as_name().map(str::to_owned)
}

/// An equation: what an unknown is, if one side is nothing but that; else what is 0.
fn equation(sides: &[&[Token]], depth: usize) -> Option<Vec<Member>> {
    let (first, last) = (sides[0], sides[sides.len() - 1]);
    // (x, y) = (1, 2).
    if first.len() > 3 && first.iter().all(|token| matches!(token, Token::Name(_) | Token::Sign('(' | ',' | ')'))) {
        return members(last, depth);
    }
    if let Some(name) = unknown(first) {
        return Some(members(last, depth)?.into_iter().map(|(_, text)| (Some(name.clone()), text)).collect());
    }
    if let Some(name) = unknown(last) {
        return Some(members(first, depth)?.into_iter().map(|(_, text)| (Some(name.clone()), text)).collect());
    }
    let (left, right) = (expression(first)?, expression(last)?);
    // An equation of numbers is its result: 2 + 3 = 5.
    if left.as_number().is_some() && right.as_number().is_some() {
        return Some(vec![(None, right.text())]);
    }
    Some(vec![(None, format!("{}=0", left.sub(&right)?.monic()?.text()))])
}

/// The members of a side that may be a set.
fn members(side: &[Token], depth: usize) -> Option<Vec<Member>> {
    if depth > DEEPEST { None } else { value(side, depth + 1) }
}

/// An inequality: of one unknown between numbers, its interval; else from the smaller side to the larger.
fn inequality(sides: &[&[Token]], names: &[&str]) -> Option<String> {
    let sums: Option<Vec<Sum>> = sides.iter().map(|side| expression(side)).collect();
    let mut sums = sums?;
    let mut names: Vec<&str> = names.to_vec();
    if names.iter().all(|name| name.starts_with('>')) {
        sums.reverse();
        names.reverse();
        names = names.iter().map(|name| if *name == ">" { "<" } else { "<=" }).collect();
    } else if !names.iter().all(|name| name.starts_with('<')) {
        return None;
    }
    let close = |name: &str| name == "<=";
    let interval = match (&sums[..], &names[..]) {
        ([low, unknown], [sign]) if unknown.as_name().is_some() && low.as_name().is_none() => {
            Some((close(sign), low.text(), "infty".to_owned(), false))
        }
        ([unknown, high], [sign]) if unknown.as_name().is_some() && high.as_name().is_none() => {
            Some((false, "-infty".to_owned(), high.text(), close(sign)))
        }
        ([low, unknown, high], [first, second]) if unknown.as_name().is_some() => {
            Some((close(first), low.text(), high.text(), close(second)))
        }
        _ => None,
    };
    Some(match interval {
        Some((low_in, low, high, high_in)) => {
            format!("{}{low}, {high}{}", if low_in { '[' } else { '(' }, if high_in { ']' } else { ')' })
        }
        None => {
            let mut text = sums[0].text();
            for (name, sum) in names.iter().zip(&sums[1..]) {
                let _ = write!(text, " {name} {}", sum.text());
            }
            text
        }
    })
}

/// What has no relation outside of its brackets.
fn value(tokens: &[Token], depth: usize) -> Option<Vec<Member>> {
    let plain = |text: String| Some(vec![(None, text)]);
    if depth > DEEPEST {
        return None;
    }
    match tokens {
        [Token::Name(name)] if name == "emptyset" => return plain("{}".to_owned()),
        [Token::Sign('⟦'), Token::Sign('⟧')] => return plain("{}".to_owned()),
        [Token::Sign('⟦'), inner @ .., Token::Sign('⟧')] if is_one_bracket(tokens) => {
            let members = split(inner, &[',', ';']);
            let texts: Option<Vec<Vec<Member>>> = members.iter().map(|part| member(part, depth + 1)).collect();
            return Some(texts?.concat());
        }
        [Token::Begin, inner @ .., Token::End] if is_one_bracket(tokens) => return plain(matrix(inner, depth)?),
        [Token::Sign(open @ ('(' | '[')), inner @ .., Token::Sign(close @ (')' | ']'))] if is_one_bracket(tokens) => {
            let parts = split(inner, &[',', ';']);
            if parts.len() > 1 {
                let texts: Option<Vec<String>> = parts.iter().map(|part| list(part, depth + 1)).collect();
                return plain(format!("{open}{}{close}", texts?.join(", ")));
            }
            if *open != '(' || *close != ')' || expression(tokens).is_none() {
                return plain(list(inner, depth + 1)?);
            }
        }
        _ => {}
    }
    let ratio = split(tokens, &[':']);
    if ratio.len() > 1 {
        let texts: Option<Vec<String>> = ratio.iter().map(|part| Some(expression(part)?.text())).collect();
        return plain(texts?.join(":"));
    }
    plain(expression(tokens)?.text())
}

/// Whether the bracket that opens first closes last.
fn is_one_bracket(tokens: &[Token]) -> bool {
    let mut depth = 0_i32;
    for (place, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(' | '[' | '{' | '⟦' | '⌊' | '⌈') | Token::Begin => depth += 1,
            Token::Sign(')' | ']' | '}' | '⟧' | '⌋' | '⌉') | Token::End => depth -= 1,
            _ => {}
        }
        if depth == 0 && place + 1 < tokens.len() {
            return false;
        }
    }
    true
}

fn matrix(inner: &[Token], depth: usize) -> Option<String> {
    let mut rows = Vec::new();
    let (mut start, breaks) = (0, outside(inner, |token| *token == Token::Row));
    let ends = breaks.iter().map(|(at, _)| *at).chain([inner.len()]);
    for end in ends {
        let row = &inner[start.min(end)..end];
        start = end + 1;
        // A break behind the last row makes no row.
        if row.is_empty() && end == inner.len() && !rows.is_empty() {
            continue;
        }
        let cells: Option<Vec<String>> = split(row, &['&']).iter().map(|cell| list(cell, depth + 1)).collect();
        rows.push(cells?.join(", "));
    }
    Some(format!("matrix({})", rows.join(" / ")))
}
