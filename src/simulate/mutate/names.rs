//! The wrong variable or attribute: another one of the same scope.

use crate::simulate::dice::Dice;
use crate::simulate::edit::Edit;
use crate::simulate::survey::Survey;

/// Another variable of the same function.
pub(super) fn variable(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let chosen = *dice.pick(&survey.names)?;
    let old = survey.of(chosen.node);
    let others: Vec<&&str> = survey.variables(chosen.scope).iter().filter(|name| **name != old).collect();
    let new = dice.pick(&others)?;
    Some(vec![Edit::replace(chosen.node.byte_range(), **new)])
}

/// Another attribute that the code reads, or one that is not there.
pub(super) fn attribute(survey: &Survey<'_>, dice: &mut Dice) -> Option<Vec<Edit>> {
    let chosen = *dice.pick(&survey.attributes)?;
    let old = survey.of(chosen);
    let others: Vec<&str> = survey.attributes.iter().map(|node| survey.of(*node)).filter(|name| *name != old).collect();
    let new = match dice.pick(&others) {
        Some(other) => (*other).to_owned(),
        None => match old.strip_prefix('_').or(old.strip_suffix('s')) {
            Some(shorter) if !shorter.is_empty() => shorter.to_owned(),
            _ if dice.chance(0.5) => format!("_{old}"),
            _ => format!("{old}s"),
        },
    };
    Some(vec![Edit::replace(chosen.byte_range(), new)])
}

#[cfg(test)]
mod tests {
    use super::super::tests::results;

    #[test]
    fn a_use_takes_another_variable_of_its_scope() {
        let found = results(super::variable);
        assert!(found.iter().any(|code| code.contains("while j < len(left)")));
        assert!(found.iter().all(|code| !code.contains("len(x)")), "x belongs to another scope");
    }

    #[test]
    fn a_lone_attribute_gets_a_name_that_is_not_there() {
        assert!(results(super::attribute).iter().any(|code| code.contains("item.sizes")));
    }
}
