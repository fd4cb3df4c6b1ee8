//! A stand-in for a template's variables that has every attribute and can be used in any way.
//!
//! minijinja finds unknown filters, tests and functions only when it renders past them. Rendering once with stand-ins that
//! are true and hold one item, and once with ones that are false and empty, walks both sides of conditions and the bodies of
//! loops, so such a mistake shows before the first row. Other errors mean nothing here: the stand-in is not the real value.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Template, Value};

#[derive(Debug)]
struct Anything {
    truth: bool,
}

impl Anything {
    fn again(&self) -> Value {
        Value::from_object(Self { truth: self.truth })
    }
}

impl Object for Anything {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(self.again())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        if self.truth { Enumerator::Values(vec![self.again()]) } else { Enumerator::Empty }
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.truth
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, _: &[Value]) -> Result<Value, Error> {
        Ok(self.again())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, _: &str, _: &[Value]) -> Result<Value, Error> {
        Ok(self.again())
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// The first unknown filter, test or function that rendering with stand-ins for `variables` meets.
pub(super) fn unknown_names(template: &Template<'_, '_>, variables: &[&str]) -> Option<Error> {
    [true, false].into_iter().find_map(|truth| {
        let variables: BTreeMap<&str, Value> =
            variables.iter().map(|name| (*name, Value::from_object(Anything { truth }))).collect();
        let error = template.render(Value::from(variables)).err()?;
        let unknown = [ErrorKind::UnknownFilter, ErrorKind::UnknownTest, ErrorKind::UnknownFunction];
        unknown.contains(&error.kind()).then_some(error)
    })
}
