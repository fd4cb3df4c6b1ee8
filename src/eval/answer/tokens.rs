//! An answer as written, in LaTeX or plain, cut into what it is made of.
//!
//! What decides nothing is left out here: dollar signs, percent signs, degrees, spacing commands, sizes of brackets, units
//! behind a number.

use super::commands::{FUNCTIONS, NAMES, NOTHING, RELATIONS, SHORT_UNITS, SIGNS, TEXTS};
use super::ratio::Ratio;

/// One piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Digits, as written, with their value.
    Number(Ratio, String),
    /// A letter, or a name such as pi.
    Name(String),
    /// A function that takes what follows: sin, log, ...
    Function(&'static str),
    /// `\frac` and its kin: two arguments.
    Frac,
    /// `\binom`: two arguments.
    Binomial,
    /// `\sqrt`: an optional degree in brackets, one argument.
    Sqrt,
    /// `\begin{...}` of a matrix.
    Begin,
    /// `\end{...}`.
    End,
    /// `\\`: the next row.
    Row,
    /// A relation: `=`, `<`, `<=`, `!=`, `in`, or `cup`, `cap`, `setminus`.
    Relation(&'static str),
    /// An operator, a bracket, a comma; `±` and `∓`; `⟦` and `⟧` for the braces of a set, `⌊⌋⌈⌉`.
    Sign(char),
    /// Words in `\text{...}`, as written.
    Text(String),
    /// White space between two numbers.
    Space,
}

/// Cuts an answer into tokens. None where there is a command that is not known, or a plain word that is no unit.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut cutter = Cutter { rest: text, tokens: Vec::new(), depth: 0 };
    while !cutter.rest.is_empty() {
        cutter.step()?;
    }
    while cutter.tokens.last().is_some_and(|token| matches!(token, Token::Space)) {
        cutter.tokens.pop();
    }
    Some(cutter.tokens)
}

struct Cutter<'t> {
    rest: &'t str,
    tokens: Vec<Token>,
    /// Brackets that are open: within them a comma parts two numbers, and does not set thousands apart.
    depth: usize,
}

impl<'t> Cutter<'t> {
    fn step(&mut self) -> Option<()> {
        let c = self.rest.chars().next()?;
        if c.is_ascii_digit() || c == '.' && self.rest[1..].starts_with(|next: char| next.is_ascii_digit()) {
            return self.number();
        }
        if c == '\\' {
            return self.command();
        }
        if c.is_ascii_alphabetic() {
            return self.word();
        }
        self.rest = &self.rest[c.len_utf8()..];
        if c.is_whitespace() || c == '~' {
            if matches!(self.tokens.last(), Some(Token::Number(..))) {
                self.tokens.push(Token::Space);
            }
            return Some(());
        }
        self.sign(c)
    }

    fn push(&mut self, token: Token) {
        // Space counts between two numbers alone.
        if self.tokens.last() == Some(&Token::Space) && !matches!(token, Token::Number(..)) {
            self.tokens.pop();
        }
        self.tokens.push(token);
    }

    fn sign(&mut self, c: char) -> Option<()> {
        let sign = match c {
            '$' | '%' | '°' | '€' | '£' | '∘' | '`' | '"' => return Some(()),
            '−' | '–' => '-',
            '×' | '·' | '⋅' | '∗' => '*',
            '÷' | '∕' => '/',
            '≤' | '≥' | '≠' | '∈' | '∪' | '∩' | '=' | '<' | '>' => {
                let name = match c {
                    '≤' => "<=",
                    '≥' => ">=",
                    '≠' => "!=",
                    '∈' => "in",
                    '∪' => "cup",
                    '∩' => "cap",
                    '=' => "=",
                    '<' => "<",
                    _ => ">",
                };
                let (name, own) = match (name, self.rest.strip_prefix('=')) {
                    ("<", Some(rest)) => ("<=", rest),
                    (">", Some(rest)) => (">=", rest),
                    (name, _) => (name, self.rest),
                };
                self.rest = own;
                self.push(Token::Relation(name));
                return Some(());
            }
            'π' | '∞' | 'θ' | 'α' | 'β' | 'λ' | 'φ' => {
                let name = match c {
                    'π' => "pi",
                    '∞' => "infty",
                    'θ' => "theta",
                    'α' => "alpha",
                    'β' => "beta",
                    'λ' => "lambda",
                    _ => "phi",
                };
                self.push(Token::Name(name.to_owned()));
                return Some(());
            }
            '√' => {
                self.push(Token::Sqrt);
                return Some(());
            }
            '∅' => {
                self.push(Token::Name("emptyset".to_owned()));
                return Some(());
            }
            '²' | '³' => {
                self.push(Token::Sign('^'));
                let power = if c == '²' { 2 } else { 3 };
                self.push(Token::Number(Ratio::whole(power), power.to_string()));
                return Some(());
            }
            '½' | '¼' | '¾' | '⅓' | '⅔' => {
                let (top, bottom) = match c {
                    '½' => (1, 2),
                    '¼' => (1, 4),
                    '¾' => (3, 4),
                    '⅓' => (1, 3),
                    _ => (2, 3),
                };
                self.push(Token::Frac);
                for part in [top, bottom] {
                    self.push(Token::Sign('{'));
                    self.push(Token::Number(Ratio::whole(part), part.to_string()));
                    self.push(Token::Sign('}'));
                }
                return Some(());
            }
            '⟨' => '(',
            '⟩' => ')',
            '’' => '\'',
            '+' | '-' | '*' | '/' | '^' | '_' | ',' | ';' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '!' | ':'
            | '\'' | '&' | '±' | '∓' => c,
            _ => return None,
        };
        if sign == '^' && self.degrees() {
            return Some(());
        }
        if sign == '!' && self.rest.starts_with('=') {
            self.rest = &self.rest[1..];
            self.push(Token::Relation("!="));
            return Some(());
        }
        match sign {
            '(' | '[' => self.depth += 1,
            ')' | ']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        // Two stars are Python's power.
        if sign == '*' && self.rest.starts_with('*') {
            self.rest = &self.rest[1..];
            self.push(Token::Sign('^'));
            return Some(());
        }
        self.push(Token::Sign(sign));
        Some(())
    }

    /// Passes over `\circ` or `{\circ}` behind a `^`, and a scale's letter behind it.
    fn degrees(&mut self) -> bool {
        let rest = self.rest.trim_start();
        let marks = ["{\\circ}", "\\circ", "{\\degree}", "\\degree", "{ \\circ }", "{°}", "°", "{\\circ }"];
        let Some(rest) = marks.iter().find_map(|mark| rest.strip_prefix(mark)) else { return false };
        let after = rest.trim_start();
        let scale =
            after.strip_prefix(['C', 'F']).filter(|more| !more.starts_with(|c: char| c.is_ascii_alphanumeric()));
        self.rest = scale.unwrap_or(rest);
        true
    }

    /// Digits, with thousands apart, decimals, and a repeating end in `\overline`.
    fn number(&mut self) -> Option<()> {
        let bytes = self.rest.as_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let mut at = 0;
        while digit(at) {
            at += 1;
        }
        let apart = |at: usize| {
            let rest = &self.rest[at..];
            // Within brackets a comma parts two numbers, unless what follows could not be one: (1,000).
            let skip = match rest {
                rest if rest.starts_with("{,}") => 3,
                rest if rest.starts_with(",\\!") => 3,
                rest if rest.starts_with("\\,") => 2,
                rest if rest.starts_with(",0") || self.depth == 0 && rest.starts_with(',') => 1,
                _ => return None,
            };
            let group = at + skip;
            (digit(group) && digit(group + 1) && digit(group + 2) && !digit(group + 3)).then_some(group + 3)
        };
        if (1..=3).contains(&at) {
            while let Some(end) = apart(at) {
                at = end;
            }
        }
        let repeats = self.rest[at..].starts_with(".\\overline{");
        if bytes.get(at) == Some(&b'.') && (digit(at + 1) || repeats) {
            at += 1;
            while digit(at) {
                at += 1;
            }
        }
        let text: String = self.rest[..at].chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
        self.rest = &self.rest[at..];
        let mut value = Ratio::parse(&text)?;
        if let Some(rest) = self.rest.strip_prefix("\\overline{")
            && text.contains('.')
            && let Some(end) = rest.find('}').filter(|end| *end > 0 && rest[..*end].bytes().all(|b| b.is_ascii_digit()))
        {
            let decimals = text.len() - 1 - text.find('.')?;
            let nines = 10_i128.checked_pow(u32::try_from(end).ok()?)? - 1;
            let scale = 10_i128.checked_pow(u32::try_from(decimals).ok()?)?;
            value = value.add(Ratio::new(rest[..end].parse().ok()?, nines.checked_mul(scale)?)?)?;
            self.rest = &rest[end + 1..];
        }
        self.push(Token::Number(value, text));
        Some(())
    }

    fn command(&mut self) -> Option<()> {
        let rest = &self.rest[1..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let length = if letters == 0 { rest.chars().next()?.len_utf8() } else { letters };
        let (name, rest) = rest.split_at(length);
        self.rest = rest;
        if name == "\\" {
            self.push(Token::Row);
        } else if let Some((_, sign)) = SIGNS.iter().find(|(known, _)| *known == name) {
            match sign {
                '⟦' | '(' | '[' => self.depth += 1,
                '⟧' | ')' | ']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.push(Token::Sign(*sign));
        } else if let Some((_, relation)) = RELATIONS.iter().find(|(known, _)| *known == name) {
            self.push(Token::Relation(relation));
        } else if NAMES.contains(&name) {
            self.push(Token::Name(name.to_owned()));
        } else if let Some(function) = FUNCTIONS.iter().find(|known| **known == name) {
            self.push(Token::Function(function));
        } else {
            return self.other(name);
        }
        Some(())
    }

    fn other(&mut self, name: &str) -> Option<()> {
        match name {
            "frac" | "dfrac" | "tfrac" | "cfrac" => self.push(Token::Frac),
            "binom" | "dbinom" | "tbinom" => self.push(Token::Binomial),
            "sqrt" => self.push(Token::Sqrt),
            "emptyset" | "varnothing" => self.push(Token::Name("emptyset".to_owned())),
            "begin" | "end" => {
                let environment = self.argument()?;
                if !environment.trim_end_matches('*').ends_with("matrix") && environment != "array" {
                    return None;
                }
                if name == "end" {
                    self.depth = self.depth.saturating_sub(1);
                    self.push(Token::End);
                } else {
                    self.depth += 1;
                    // An array tells its columns' alignment.
                    if environment == "array" {
                        self.argument()?;
                    }
                    self.push(Token::Begin);
                }
            }
            "mathbb" | "mathcal" => {
                let name = self.argument()?.to_owned();
                self.push(Token::Name(name));
            }
            "boxed" | "fbox" | "overline" | "vec" | "hat" | "bar" => {}
            name if TEXTS.contains(&name) => {
                let words = self.argument()?.to_owned();
                self.push(Token::Text(words));
            }
            "mathrm" | "mathbf" | "mathit" if self.rest.trim_start().starts_with('{') => {
                let words = self.argument()?.to_owned();
                self.push(Token::Text(words));
            }
            name if NOTHING.contains(&name) => {}
            _ => return None,
        }
        Some(())
    }

    /// What stands in braces right here.
    fn argument(&mut self) -> Option<&'t str> {
        let inner = self.rest.trim_start().strip_prefix('{')?;
        let mut depth = 1;
        let end = inner.char_indices().find_map(|(at, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(at)
        })?;
        self.rest = &inner[end + 1..];
        Some(&inner[..end])
    }

    /// Letters without a command: functions, units behind a number, single variables.
    fn word(&mut self) -> Option<()> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if let Some(function) = FUNCTIONS.iter().find(|known| **known == word) {
            self.rest = rest;
            self.push(Token::Function(function));
            return Some(());
        }
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "and" | "or" => {
                self.rest = rest;
                self.push(Token::Sign(','));
                return Some(());
            }
            "sqrt" => {
                self.rest = rest;
                self.push(Token::Sqrt);
                return Some(());
            }
            "pi" | "infty" | "theta" => {
                self.rest = rest;
                self.push(Token::Name(lower));
                return Some(());
            }
            "infinity" => {
                self.rest = rest;
                self.push(Token::Name("infty".to_owned()));
                return Some(());
            }
            _ => {}
        }
        let behind_a_number = self.tokens.iter().any(|token| matches!(token, Token::Number(..)))
            && !matches!(self.tokens.last(), Some(Token::Sign('+' | '-' | '*' | '^' | '_' | '(') | Token::Relation(_)));
        if behind_a_number && (SHORT_UNITS.contains(&word) || word.len() >= 3) {
            self.rest = rest;
            self.unit_power();
            // The day's halves differ.
            if matches!(lower.as_str(), "am" | "pm") {
                self.push(Token::Text(lower));
            }
            return Some(());
        }
        if word.len() >= 3 {
            return None;
        }
        let (letter, _) = word.split_at(1);
        self.rest = &self.rest[1..];
        self.push(Token::Name(letter.to_owned()));
        Some(())
    }

    /// Passes over the square or cube of a unit.
    fn unit_power(&mut self) {
        if let Some(power) = self.rest.trim_start().strip_prefix('^') {
            let power = power.trim_start();
            let bare = power.strip_prefix('{').unwrap_or(power).trim_start();
            if let Some(rest) = bare.strip_prefix(['2', '3']) {
                let closed = if bare.len() == power.len() { Some(rest) } else { rest.trim_start().strip_prefix('}') };
                self.rest = closed.unwrap_or(rest);
            }
            return;
        }
        self.rest = self.rest.strip_prefix(['²', '³']).unwrap_or(self.rest);
        // Units over units: miles per hour, km/h.
        if let Some(rest) = self.rest.strip_prefix('/')
            && rest.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            self.rest = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        }
    }
}
