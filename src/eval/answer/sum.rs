//! Expressions in normal form: a sum of products, with exact coefficients.
//!
//! A product is made of powers with rational exponents. Its factors are prime numbers (so that the roots of 12 and 3 share
//! one), names (variables, pi, i, functions of normal forms) and sums that are no single product. Products of sums are
//! multiplied out, equal products added, roots of numbers taken out as far as they go, and denominators of two square roots
//! made rational; so what is equal by these rules is one form. What would grow too large, or does not fit 128 bits, is none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::ratio::Ratio;

/// Most products in a sum.
const MOST_TERMS: usize = 200;
/// Highest power that a sum of several products is multiplied out to.
const MOST_POWER: i128 = 12;
/// Largest factor that is looked for under a root.
const MOST_FACTOR: u128 = 100_000;

/// A factor of a product.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Factor {
    /// A prime number, or what is left of one when its factors were too large to find.
    Prime(u128),
    /// The imaginary unit.
    Imaginary,
    /// A variable, a constant such as pi, or a function with its argument.
    Name(String),
    /// A sum of several products.
    Sum(Box<Sum>),
}

type Product = BTreeMap<Factor, Ratio>;

/// A sum of products with their coefficients; none of them is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sum(BTreeMap<Product, Ratio>);

impl Sum {
    pub(super) fn number(value: Ratio) -> Self {
        Self::term(Product::new(), value)
    }

    pub(super) fn name(name: impl Into<String>) -> Self {
        Self::term(Product::from([(Factor::Name(name.into()), Ratio::ONE)]), Ratio::ONE)
    }

    pub(super) fn imaginary() -> Self {
        Self::term(Product::from([(Factor::Imaginary, Ratio::ONE)]), Ratio::ONE)
    }

    fn term(product: Product, coefficient: Ratio) -> Self {
        if coefficient.is_zero() { Self::default() } else { Self(BTreeMap::from([(product, coefficient)])) }
    }

    /// The number, if it is one.
    pub(super) fn as_number(&self) -> Option<Ratio> {
        match self.0.len() {
            0 => Some(Ratio::ZERO),
            1 => self.0.get(&Product::new()).copied(),
            _ => None,
        }
    }

    /// The name, if it is nothing but one.
    pub(super) fn as_name(&self) -> Option<&str> {
        let (product, coefficient) = self.only()?;
        match product.iter().next() {
            Some((Factor::Name(name), power))
                if product.len() == 1 && *power == Ratio::ONE && coefficient == Ratio::ONE =>
            {
                Some(name)
            }
            _ => None,
        }
    }

    fn only(&self) -> Option<(&Product, Ratio)> {
        let (product, coefficient) = self.0.iter().next()?;
        (self.0.len() == 1).then_some((product, *coefficient))
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn negated(&self) -> Self {
        Self(self.0.iter().map(|(product, coefficient)| (product.clone(), coefficient.negated())).collect())
    }

    pub(super) fn add(&self, other: &Self) -> Option<Self> {
        let mut sum = self.clone();
        for (product, coefficient) in &other.0 {
            sum.push(product.clone(), *coefficient)?;
        }
        Some(sum)
    }

    pub(super) fn sub(&self, other: &Self) -> Option<Self> {
        self.add(&other.negated())
    }

    fn push(&mut self, product: Product, coefficient: Ratio) -> Option<()> {
        let sum = self.0.get(&product).copied().unwrap_or(Ratio::ZERO).add(coefficient)?;
        if sum.is_zero() {
            self.0.remove(&product);
        } else {
            self.0.insert(product, sum);
        }
        (self.0.len() <= MOST_TERMS).then_some(())
    }

    pub(super) fn mul(&self, other: &Self) -> Option<Self> {
        let mut sum = Self::default();
        for (one, a) in &self.0 {
            for (two, b) in &other.0 {
                let (product, factor) = multiply(one, two)?;
                sum.push(product, a.mul(*b)?.mul(factor)?)?;
            }
        }
        Some(sum)
    }

    fn scaled(&self, by: Ratio) -> Option<Self> {
        let scaled = self.0.iter().map(|(product, coefficient)| Some((product.clone(), coefficient.mul(by)?)));
        scaled.collect::<Option<_>>().map(Self)
    }

    pub(super) fn div(&self, other: &Self) -> Option<Self> {
        // The same but for a number: (2x + 2) / (x + 1).
        if self.0.len() == other.0.len() && self.0.len() > 1 {
            let mut pairs = self.0.iter().zip(&other.0);
            let ratio = pairs.next().and_then(|((_, a), (_, b))| a.mul(b.inverse()?))?;
            if other.scaled(ratio).as_ref() == Some(self) {
                return Some(Self::number(ratio));
            }
        }
        self.mul(&other.inverse()?)
    }

    fn inverse(&self) -> Option<Self> {
        match self.0.len() {
            0 => None,
            2 => match self.conjugate() {
                Some((conjugate, norm)) => conjugate.scaled(norm.inverse()?),
                None => self.power(Ratio::whole(-1)),
            },
            _ => self.power(Ratio::whole(-1)),
        }
    }

    /// `a - b` for `a + b`, with `a² - b²`, where that is a number: a sum of two square roots, or with `i`.
    fn conjugate(&self) -> Option<(Self, Ratio)> {
        let mut terms = self.0.iter();
        let (one, two) = (terms.next()?, terms.next()?);
        let a = Self::term(one.0.clone(), *one.1);
        let b = Self::term(two.0.clone(), *two.1);
        let norm = a.mul(&a)?.sub(&b.mul(&b)?)?.as_number()?;
        (!norm.is_zero()).then_some((a.sub(&b)?, norm))
    }

    /// The power with a rational exponent. The root of a negative number is imaginary if it is a square root, negative if it
    /// is an odd one.
    pub(super) fn power(&self, exponent: Ratio) -> Option<Self> {
        if exponent.is_zero() {
            return Some(Self::number(Ratio::ONE));
        }
        if let Some((product, coefficient)) = self.only() {
            let mut powered = power_of_number(coefficient, exponent)?;
            for (factor, own) in product {
                let own = own.mul(exponent)?;
                let (product, number) = normal(Product::from([(factor.clone(), own)]))?;
                powered = powered.mul(&Self::term(product, number))?;
            }
            return Some(powered);
        }
        if self.is_zero() {
            return (!exponent.is_negative()).then(Self::default);
        }
        match exponent.as_whole() {
            Some(times) if (1..=MOST_POWER).contains(&times) => {
                (1..times).try_fold(self.clone(), |power, _| power.mul(self))
            }
            Some(times) if (-MOST_POWER..-1).contains(&times) => {
                let positive = self.power(Ratio::whole(-times))?;
                positive.inverse()
            }
            _ => {
                // A number common to all products comes out; of whole powers with the sign of the first of them.
                let first = self.0.values().next()?.is_negative();
                let common = self.content()?;
                let common = if first && exponent.as_whole().is_some() { common.negated() } else { common };
                let inner = self.scaled(common.inverse()?)?;
                let outer = power_of_number(common, exponent)?;
                outer.mul(&Self::term(Product::from([(Factor::Sum(Box::new(inner)), exponent)]), Ratio::ONE))
            }
        }
    }

    /// The number that all coefficients share: with it taken out they are whole and have no common factor.
    fn content(&self) -> Option<Ratio> {
        let mut top = 0_u128;
        let mut bottom = 1_i128;
        for coefficient in self.0.values() {
            top = if top == 0 {
                coefficient.top().unsigned_abs()
            } else {
                super::ratio::gcd(top, coefficient.top().unsigned_abs())
            };
            let common = super::ratio::gcd(bottom.unsigned_abs(), coefficient.bottom().unsigned_abs()) as i128;
            bottom = (bottom / common).checked_mul(coefficient.bottom())?;
        }
        Ratio::new(i128::try_from(top).ok()?, bottom)
    }

    /// The same sum scaled so that its first coefficient is 1; for equations, where a factor does not count.
    pub(super) fn monic(&self) -> Option<Self> {
        match self.0.values().next() {
            Some(first) => self.scaled(first.inverse()?),
            None => Some(self.clone()),
        }
    }

    /// The form as text: one for each form, two different forms never the same.
    pub(super) fn text(&self) -> String {
        if self.0.is_empty() {
            return "0".to_owned();
        }
        let mut text = String::new();
        for (number, (product, coefficient)) in self.0.iter().enumerate() {
            if number > 0 && !coefficient.is_negative() {
                text.push('+');
            }
            // 1 and -1 are not written before a product.
            let mut times = "*";
            match coefficient.as_whole() {
                Some(1) if !product.is_empty() => times = "",
                Some(-1) if !product.is_empty() => {
                    text.push('-');
                    times = "";
                }
                _ => {
                    let _ = write!(text, "{coefficient}");
                }
            }
            for (factor, power) in product {
                text.push_str(std::mem::replace(&mut times, "*"));
                match factor {
                    Factor::Prime(prime) => {
                        let _ = write!(text, "{prime}");
                    }
                    Factor::Imaginary => text.push('i'),
                    Factor::Name(name) => text.push_str(name),
                    Factor::Sum(sum) => {
                        let _ = write!(text, "({})", sum.text());
                    }
                }
                if *power != Ratio::ONE {
                    let _ = write!(text, "^({power})");
                }
            }
        }
        text
    }
}

/// The product of two products, and the number that comes out of it.
fn multiply(one: &Product, two: &Product) -> Option<(Product, Ratio)> {
    let mut product = one.clone();
    for (factor, power) in two {
        let sum = product.get(factor).copied().unwrap_or(Ratio::ZERO).add(*power)?;
        product.insert(factor.clone(), sum);
    }
    normal(product)
}

/// Takes whole powers of primes and of `i` out of a product.
fn normal(product: Product) -> Option<(Product, Ratio)> {
    let (mut kept, mut number) = (Product::new(), Ratio::ONE);
    for (factor, power) in product {
        let power = match factor {
            Factor::Prime(prime) => {
                let whole = power.floor();
                number = number.mul(Ratio::whole(i128::try_from(prime).ok()?).pow(whole)?)?;
                power.sub(Ratio::whole(whole))?
            }
            Factor::Imaginary => match power.as_whole()?.rem_euclid(4) {
                0 => Ratio::ZERO,
                1 => Ratio::ONE,
                2 => {
                    number = number.negated();
                    Ratio::ZERO
                }
                _ => {
                    number = number.negated();
                    Ratio::ONE
                }
            },
            _ => power,
        };
        if !power.is_zero() {
            kept.insert(factor, power);
        }
    }
    Some((kept, number))
}

fn power_of_number(base: Ratio, exponent: Ratio) -> Option<Sum> {
    if let Some(times) = exponent.as_whole() {
        return Some(Sum::number(base.pow(times)?));
    }
    if base.is_zero() {
        return (!exponent.is_negative()).then(Sum::default);
    }
    let mut power = Sum::number(Ratio::ONE);
    if base.is_negative() {
        match exponent.bottom() {
            // The square root of -1 is i; its odd powers are i or -i.
            2 => power = Sum::imaginary().power(Ratio::whole(exponent.top()))?,
            odd if odd % 2 == 1 && exponent.top() % 2 != 0 => power = Sum::number(Ratio::whole(-1)),
            odd if odd % 2 == 1 => {}
            _ => return None,
        }
    }
    for (number, sign) in [(base.top().unsigned_abs(), Ratio::ONE), (base.bottom().unsigned_abs(), Ratio::whole(-1))] {
        for (prime, times) in factors(number) {
            let own = Ratio::whole(times).mul(sign)?.mul(exponent)?;
            let (product, number) = normal(Product::from([(Factor::Prime(prime), own)]))?;
            power = power.mul(&Sum::term(product, number))?;
        }
    }
    Some(power)
}

/// Prime factors with their powers; what is left when they get large stands for itself, a square of one as its root.
fn factors(mut number: u128) -> Vec<(u128, i128)> {
    let mut found = Vec::new();
    let mut prime = 2;
    while prime * prime <= number && prime <= MOST_FACTOR {
        let mut times = 0;
        while number.is_multiple_of(prime) {
            number /= prime;
            times += 1;
        }
        if times > 0 {
            found.push((prime, times));
        }
        prime += if prime == 2 { 1 } else { 2 };
    }
    if number > 1 {
        let root = number.isqrt();
        if root * root == number { found.push((root, 2)) } else { found.push((number, 1)) }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn root(number: i128) -> Sum {
        Sum::number(Ratio::whole(number)).power(Ratio::new(1, 2).unwrap()).unwrap()
    }

    fn whole(number: i128) -> Sum {
        Sum::number(Ratio::whole(number))
    }

    #[test]
    fn roots_share_what_they_have_in_common() {
        assert_eq!(root(12), whole(2).mul(&root(3)).unwrap());
        assert_eq!(root(2).mul(&root(3)).unwrap(), root(6));
        assert_eq!(root(2).mul(&root(2)).unwrap(), whole(2));
        assert_eq!(whole(1).div(&root(2)).unwrap(), root(2).div(&whole(2)).unwrap());
        assert_eq!(root(-4), whole(2).mul(&Sum::imaginary()).unwrap());
        assert_eq!(whole(-8).power(Ratio::new(1, 3).unwrap()).unwrap(), whole(-2));
    }

    #[test]
    fn denominators_become_rational() {
        let sum = whole(1).add(&root(2)).unwrap();
        assert_eq!(whole(1).div(&sum).unwrap(), root(2).sub(&whole(1)).unwrap());
        let complex = whole(3).add(&Sum::imaginary()).unwrap();
        let inverse = whole(10).div(&complex).unwrap();
        assert_eq!(inverse, whole(3).sub(&Sum::imaginary()).unwrap());
    }

    #[test]
    fn sums_are_multiplied_out_and_cancel() {
        let (x, y) = (Sum::name("x"), Sum::name("y"));
        let square = x.add(&y).unwrap().power(Ratio::whole(2)).unwrap();
        assert_eq!(
            square.sub(&x.sub(&y).unwrap().power(Ratio::whole(2)).unwrap()).unwrap(),
            whole(4).mul(&x.mul(&y).unwrap()).unwrap()
        );
        assert!(x.sub(&x).unwrap().is_zero());
        let double = x.add(&y).unwrap().mul(&whole(2)).unwrap();
        assert_eq!(double.div(&x.add(&y).unwrap()).unwrap(), whole(2));
    }

    #[test]
    fn what_does_not_fit_or_does_not_exist_is_none() {
        assert_eq!(whole(1).div(&whole(0)), None);
        assert_eq!(whole(10).power(Ratio::whole(60)), None);
        let mut wide = Sum::default();
        for n in 0..20 {
            wide = wide.add(&Sum::name(format!("x{n}"))).unwrap();
        }
        assert_eq!(wide.power(Ratio::whole(12)), None);
    }
}
