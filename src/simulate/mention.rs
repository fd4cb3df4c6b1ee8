//! How a description names the code that it asks for, so that a code model can find that code again.

use crate::python::Unit;

/// The name by which descriptions call a snippet: `Class.method(a, *rest)`, `Class(Base)`, `module.py`. `signature` is
/// the snippet's, `path` its document's, which only modules need.
pub(super) fn mention(unit: Unit, qualified_name: &str, signature: &str, path: &str) -> String {
    match unit {
        Unit::Module => path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned(),
        Unit::Class => {
            let bases = bracketed(signature).unwrap_or_default();
            if bases.is_empty() { qualified_name.to_owned() } else { format!("{qualified_name}({bases})") }
        }
        Unit::Function | Unit::Method => {
            let names: Vec<&str> = parameters(signature)
                .into_iter()
                .map(|parameter| parameter.name)
                .filter(|name| !matches!(*name, "self" | "cls"))
                .collect();
            format!("{qualified_name}({})", names.join(", "))
        }
    }
}

/// A parameter of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameter<'a> {
    /// With its stars; `*` and `/` stand for themselves.
    pub name: &'a str,
    pub default: Option<&'a str>,
}

/// The parameters of a signature on one line.
pub(super) fn parameters(signature: &str) -> Vec<Parameter<'_>> {
    let Some(inner) = bracketed(signature) else {
        return Vec::new();
    };
    pieces(inner, ',')
        .into_iter()
        .filter(|piece| !piece.is_empty())
        .map(|piece| {
            let (head, default) = match pieces(piece, '=').as_slice() {
                [head, default, ..] => (*head, Some(*default)),
                _ => (piece, None),
            };
            let name = pieces(head, ':').first().copied().unwrap_or(head);
            Parameter { name, default }
        })
        .collect()
}

/// The text inside the first round brackets that are not inside square ones (type parameters).
fn bracketed(signature: &str) -> Option<&str> {
    let (mut square, mut depth, mut start) = (0i32, 0i32, None);
    for (at, c) in signature.char_indices() {
        match c {
            '[' => square += 1,
            ']' => square -= 1,
            '(' if square == 0 || start.is_some() => {
                depth += 1;
                start = start.or(Some(at + 1));
            }
            ')' if start.is_some() => {
                depth -= 1;
                if depth == 0 {
                    return start.and_then(|start| signature.get(start..at)).map(str::trim);
                }
            }
            _ => {}
        }
    }
    None
}

/// Splits at `separator` outside brackets and quotes.
fn pieces(text: &str, separator: char) -> Vec<&str> {
    let (mut depth, mut quote, mut start) = (0i32, None, 0);
    let mut found = Vec::new();
    for (at, c) in text.char_indices() {
        if let Some(open) = quote {
            if c == open {
                quote = None;
            }
            continue;
        }
        match c {
            '\'' | '"' => quote = Some(c),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ if c == separator && depth == 0 => {
                found.push(text[start..at].trim());
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    found.push(text[start..].trim());
    found
}

/// The spans between single backticks in `text` with the byte after each, in order. Fences are passed over.
pub(super) fn spans(text: &str) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    for (line, offset) in lines(text) {
        if line.contains("```") {
            continue;
        }
        let mut rest = 0;
        while let Some(open) = line[rest..].find('`').map(|at| rest + at) {
            let Some(close) = line[open + 1..].find('`').map(|at| open + 1 + at) else {
                break;
            };
            found.push((&line[open + 1..close], offset + close + 1));
            rest = close + 1;
        }
    }
    found
}

fn lines(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut offset = 0;
    text.split('\n').map(move |line| {
        let start = offset;
        offset += line.len() + 1;
        (line, start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_called_by_its_name_and_its_parameters_names() {
        let signature = "def f[T: (int, str)](self, a: dict[str, int] = {'x': 1}, *rest, b=(1, 2), **more) -> int";
        assert_eq!(mention(Unit::Method, "A.f", signature, ""), "A.f(a, *rest, b, **more)");
        assert_eq!(parameters(signature)[1].default, Some("{'x': 1}"));
    }

    #[test]
    fn a_class_is_called_by_its_name_and_bases_and_a_module_by_its_file() {
        assert_eq!(mention(Unit::Class, "A", "class A(B, metaclass=M)", ""), "A(B, metaclass=M)");
        assert_eq!(mention(Unit::Class, "A", "class A", ""), "A");
        assert_eq!(mention(Unit::Module, "<module>", "", "src/pkg/mod.py"), "mod.py");
    }

    #[test]
    fn spans_are_found_with_the_place_behind_them() {
        let text = "Write `f(a)`, not\n`g`.\n```python\n`h`";
        assert_eq!(spans(text), [("f(a)", 12), ("g", 21), ("h", 36)]);
    }
}
