//! Tokens of one expression to its normal form.

use super::ratio::Ratio;
use super::sum::Sum;
use super::tokens::Token;

/// Brackets within brackets, at most.
const DEEPEST: usize = 40;

/// The normal form of an expression that the tokens are from first to last.
pub(super) fn expression(tokens: &[Token]) -> Option<Sum> {
    let mut parser = Parser { tokens: tokens.to_vec(), at: 0, depth: 0 };
    let sum = parser.sum()?;
    (parser.at == parser.tokens.len()).then_some(sum)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    /// Passes over white space, where it parts no two numbers of one sum.
    fn space(&mut self) {
        self.at += usize::from(self.peek() == Some(&Token::Space));
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth == DEEPEST {
            return None;
        }
        self.depth += 1;
        let found = inner(self);
        self.depth -= 1;
        found
    }

    fn sum(&mut self) -> Option<Sum> {
        self.deeper(|parser| {
            let mut sum = parser.signed()?;
            loop {
                if parser.take('+') {
                    sum = sum.add(&parser.signed()?)?;
                } else if parser.take('-') {
                    sum = sum.sub(&parser.signed()?)?;
                } else {
                    return Some(sum);
                }
            }
        })
    }

    /// A product with signs before it.
    fn signed(&mut self) -> Option<Sum> {
        let mut negative = false;
        while let Some(Token::Sign(sign @ ('+' | '-'))) = self.peek() {
            negative ^= *sign == '-';
            self.at += 1;
        }
        let product = self.product()?;
        Some(if negative { product.negated() } else { product })
    }

    fn product(&mut self) -> Option<Sum> {
        let mut product = self.first_factor()?;
        loop {
            if self.take('*') {
                product = product.mul(&self.signed_factor()?)?;
            } else if self.take('/') {
                product = product.div(&self.signed_factor()?)?;
            } else if self.starts_factor() {
                product = product.mul(&self.factor()?)?;
            } else {
                return Some(product);
            }
        }
    }

    fn signed_factor(&mut self) -> Option<Sum> {
        if self.take('-') { Some(self.signed_factor()?.negated()) } else { self.factor() }
    }

    /// Whether what comes is multiplied without a sign. A number is not: `2 3` is no product.
    fn starts_factor(&self) -> bool {
        match self.peek() {
            Some(Token::Name(_) | Token::Function(_) | Token::Frac | Token::Binomial | Token::Sqrt) => true,
            Some(Token::Sign(sign)) => matches!(sign, '(' | '[' | '{' | '⌊' | '⌈'),
            // A number behind a name or a bracket: x2 is a product, if an unusual one.
            Some(Token::Number(..)) => !matches!(self.tokens.get(self.at.wrapping_sub(1)), Some(Token::Number(..))),
            _ => false,
        }
    }

    /// A factor, or a mixed number: `3\frac{1}{2}` and `3 1/2` are three and a half.
    fn first_factor(&mut self) -> Option<Sum> {
        let start = self.at;
        let Some(Token::Number(whole, _)) = self.peek().cloned() else { return self.factor() };
        if whole.as_whole().is_none() {
            return self.factor();
        }
        self.at += 1;
        let fraction = match self.peek() {
            Some(Token::Frac) => {
                self.at += 1;
                let parts = self.fraction_parts();
                parts.and_then(|(top, bottom)| top.as_number()?.as_whole().zip(bottom.as_number()?.as_whole()))
            }
            Some(Token::Space) => match self.tokens.get(self.at + 1..self.at + 4) {
                Some([Token::Number(top, _), Token::Sign('/'), Token::Number(bottom, _)]) => {
                    let parts = top.as_whole().zip(bottom.as_whole());
                    self.at += 4;
                    parts
                }
                _ => None,
            },
            _ => None,
        };
        match fraction {
            Some((top, bottom)) if top >= 0 && bottom > 0 => Some(Sum::number(whole.add(Ratio::new(top, bottom)?)?)),
            _ => {
                self.at = start;
                self.factor()
            }
        }
    }

    /// A factor with what stands behind it: powers, factorials.
    fn factor(&mut self) -> Option<Sum> {
        self.deeper(|parser| {
            let mut base = parser.base()?;
            loop {
                if parser.take('^') {
                    let exponent = parser.exponent()?;
                    base = power(&base, &exponent)?;
                } else if parser.take('!') {
                    base = factorial(&base)?;
                } else {
                    return Some(base);
                }
            }
        })
    }

    fn exponent(&mut self) -> Option<Sum> {
        if self.take('-') {
            return Some(self.exponent()?.negated());
        }
        if self.take('{') {
            return self.closed('}');
        }
        // A sign's power binds from the right: 2^3^2.
        let base = self.base()?;
        if self.take('^') { power(&base, &self.exponent()?) } else { Some(base) }
    }

    /// A sum up to a closing bracket.
    fn closed(&mut self, close: char) -> Option<Sum> {
        let sum = self.sum()?;
        self.take(close).then_some(sum)
    }

    fn base(&mut self) -> Option<Sum> {
        let token = self.peek()?.clone();
        self.at += 1;
        match token {
            Token::Number(value, text) => match self.subscript() {
                // A number to another base is a name: what it is worth is not asked.
                Some(base) => Some(Sum::name(format!("{text}_{base}"))),
                None => Some(Sum::number(value)),
            },
            Token::Name(name) => {
                let subscript = self.subscript().map(|subscript| format!("_{subscript}")).unwrap_or_default();
                let mut primes = String::new();
                while self.take('\'') {
                    primes.push('\'');
                }
                match (name.as_str(), subscript.as_str(), primes.as_str()) {
                    ("i", "", "") => Some(Sum::imaginary()),
                    _ => Some(Sum::name(format!("{name}{subscript}{primes}"))),
                }
            }
            Token::Function(name) => self.function(name),
            Token::Frac => {
                let (top, bottom) = self.fraction_parts()?;
                top.div(&bottom)
            }
            Token::Binomial => {
                let (n, k) = self.fraction_parts()?;
                Some(binomial(&n, &k))
            }
            Token::Sqrt => self.root(),
            Token::Sign('(') => self.closed(')'),
            Token::Sign('[') => self.closed(']'),
            Token::Sign('{') => self.closed('}'),
            Token::Sign('|') => self.closed('|').map(|inner| absolute(&inner)),
            Token::Sign('⌊') => self.closed('⌋').map(|inner| rounded("floor", &inner, Ratio::floor)),
            Token::Sign('⌈') => {
                self.closed('⌉').map(|inner| rounded("ceil", &inner, |value| -value.negated().floor()))
            }
            _ => None,
        }
    }

    /// `_2`, `_{10}`, `_{\text{two}}`; as text.
    fn subscript(&mut self) -> Option<String> {
        if !self.take('_') {
            return None;
        }
        let mut text = String::new();
        let braced = self.take('{');
        while let Some(token) = self.peek().cloned() {
            match token {
                Token::Number(_, digits) => text.push_str(&digits),
                Token::Name(name) => text.push_str(&name),
                Token::Text(words) => text.push_str(words.trim()),
                Token::Sign(sign @ (',' | '+' | '-')) if braced => text.push(sign),
                _ => break,
            }
            self.at += 1;
            if !braced {
                break;
            }
        }
        if braced && !self.take('}') {
            // Not to be read: what follows will not fit either.
            text.push('?');
        }
        Some(text)
    }

    fn function(&mut self, name: &str) -> Option<Sum> {
        let subscript = self.subscript().map(|subscript| format!("_{subscript}")).unwrap_or_default();
        let exponent = if self.take('^') { Some(self.exponent()?) } else { None };
        self.space();
        let mut arguments = Vec::new();
        if self.take('(') {
            loop {
                arguments.push(self.sum()?.text());
                if self.take(')') {
                    break;
                }
                if !self.take(',') {
                    return None;
                }
            }
        } else {
            // `\sin 2x`: numbers and names up to the next sign or function.
            let mut argument = self.factor()?;
            while matches!(self.peek(), Some(Token::Name(_) | Token::Frac | Token::Sqrt)) {
                argument = argument.mul(&self.factor()?)?;
            }
            arguments.push(argument.text());
        }
        let value = Sum::name(format!("{name}{subscript}({})", arguments.join(",")));
        match exponent {
            Some(exponent) => power(&value, &exponent),
            None => Some(value),
        }
    }

    /// Two arguments, each in braces or one token; of a number without braces its first digit.
    fn fraction_parts(&mut self) -> Option<(Sum, Sum)> {
        Some((self.argument()?, self.argument()?))
    }

    fn argument(&mut self) -> Option<Sum> {
        self.space();
        if self.take('{') {
            return self.closed('}');
        }
        if let Some(Token::Number(_, text)) = self.peek()
            && text.len() > 1
            && !text.contains('.')
        {
            let (first, rest) = text.split_at(1);
            let digit = Ratio::parse(first)?;
            let left = Token::Number(Ratio::parse(rest)?, rest.to_owned());
            self.tokens[self.at] = left;
            return Some(Sum::number(digit));
        }
        self.deeper(Self::base)
    }

    fn root(&mut self) -> Option<Sum> {
        let degree = if self.take('[') { self.closed(']')?.as_number()?.as_whole()? } else { 2 };
        let inner = if self.take('{') { self.closed('}')? } else { self.deeper(Self::base)? };
        inner.power(Ratio::new(1, degree)?)
    }
}

fn power(base: &Sum, exponent: &Sum) -> Option<Sum> {
    match exponent.as_number() {
        Some(number) => base.power(number),
        None => Some(Sum::name(format!("({})^({})", base.text(), exponent.text()))),
    }
}

fn factorial(base: &Sum) -> Option<Sum> {
    match base.as_number() {
        Some(number) => {
            let number = number.as_whole().filter(|number| (0..=33).contains(number))?;
            Some(Sum::number(Ratio::whole((1..=number).product())))
        }
        None => Some(Sum::name(format!("({})!", base.text()))),
    }
}

fn binomial(n: &Sum, k: &Sum) -> Sum {
    let whole = |sum: &Sum| sum.as_number()?.as_whole().filter(|number| (0..=60).contains(number));
    match whole(n).zip(whole(k)) {
        Some((n, k)) if k <= n => Sum::number(Ratio::whole((0..k).fold(1, |value, at| value * (n - at) / (at + 1)))),
        Some(_) => Sum::number(Ratio::ZERO),
        None => Sum::name(format!("binom({},{})", n.text(), k.text())),
    }
}

fn absolute(inner: &Sum) -> Sum {
    match inner.as_number() {
        Some(number) => Sum::number(if number.is_negative() { number.negated() } else { number }),
        // |x - y| is |y - x|.
        None => {
            let (one, other) = (inner.text(), inner.negated().text());
            Sum::name(format!("abs({})", one.min(other)))
        }
    }
}

fn rounded(name: &str, inner: &Sum, round: fn(Ratio) -> i128) -> Sum {
    match inner.as_number() {
        Some(number) => Sum::number(Ratio::whole(round(number))),
        None => Sum::name(format!("{name}({})", inner.text())),
    }
}
