//! Notebooks: the code cells of an `.ipynb` file as one Python text.
//!
//! IPython's own syntax (`%magic`, `!command`, `name?`) is commented out, so that what is left parses as Python.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Fault;
use super::text::Flaw;

/// The parts of a notebook that matter; version 3 nests its cells in worksheets. Outputs are never held.
#[derive(Deserialize)]
struct Notebook {
    #[serde(default)]
    cells: Vec<Cell>,
    #[serde(default)]
    worksheets: Vec<Worksheet>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Worksheet {
    #[serde(default)]
    cells: Vec<Cell>,
}

#[derive(Deserialize)]
struct Cell {
    cell_type: String,
    #[serde(default, alias = "input")]
    source: Source,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Source {
    Lines(Vec<String>),
    Text(String),
    Other(IgnoredAny),
}

impl Default for Source {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

#[derive(Default, Deserialize)]
struct Metadata {
    language_info: Option<Language>,
    kernelspec: Option<Kernel>,
}

#[derive(Deserialize)]
struct Language {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Kernel {
    language: Option<String>,
}

/// The code of the notebook `text`.
pub(super) fn code(text: &str) -> Result<String, Flaw> {
    let broken = |message: String| Flaw::new(Fault::BrokenNotebook, message);
    let notebook: Notebook = serde_json::from_str(text).map_err(|error| broken(format!("not a notebook: {error}")))?;
    let Metadata { language_info, kernelspec } = notebook.metadata;
    let language = language_info.and_then(|l| l.name).or(kernelspec.and_then(|k| k.language));
    if let Some(language) = language
        && !matches!(language.to_ascii_lowercase().as_str(), "python" | "ipython")
    {
        return Err(broken(format!("its language is {language}, not Python")));
    }
    let nested = notebook.worksheets.into_iter().flat_map(|sheet| sheet.cells);
    let cells = notebook.cells.into_iter().chain(nested);
    let mut texts = Vec::new();
    for cell in cells.filter(|cell| cell.cell_type == "code") {
        let source = match cell.source {
            Source::Lines(lines) => lines.concat(),
            Source::Text(text) => text,
            Source::Other(_) => return Err(broken("a cell's source is not a text".to_owned())),
        };
        let plain = plain_python(&source);
        if !plain.trim().is_empty() {
            texts.push(plain.trim_end().to_owned());
        }
    }
    if texts.is_empty() {
        return Err(broken("it has no code cells".to_owned()));
    }
    Ok(texts.join("\n\n") + "\n")
}

/// Cell magics whose body is Python.
const PYTHON_CELL_MAGICS: [&str; 7] = ["%%time", "%%timeit", "%%capture", "%%prun", "%%python", "%%python3", "%%pypy"];

fn plain_python(cell: &str) -> String {
    let first = cell.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    let word = first.split_whitespace().next().unwrap_or("");
    let foreign = word.starts_with("%%") && !PYTHON_CELL_MAGICS.contains(&word);
    let mut plain = String::with_capacity(cell.len() + 16);
    let mut goes_on = false;
    for line in cell.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let body = &line[indent.len()..];
        if goes_on || foreign {
            plain.push_str("# ");
            plain.push_str(line);
        } else if let Some(target) = captured(body) {
            // The name stays bound for the lines that use it.
            plain.extend([indent, target, " = None  # ", body]);
        } else if is_magic(body) {
            // A block must not lose its only statement.
            plain.extend([indent, if indent.is_empty() { "# " } else { "pass  # " }, body]);
        } else {
            plain.push_str(line);
            plain.push('\n');
            continue;
        }
        goes_on = line.ends_with('\\');
        plain.push('\n');
    }
    plain
}

/// Whether a line, without its indentation, is IPython's and not Python's. `% name` and `!= x` may be the rest of an
/// expression that began on the line before; `%name` and `!name` hardly ever are.
fn is_magic(body: &str) -> bool {
    let next = body.as_bytes().get(1).copied().unwrap_or(b' ');
    match body.as_bytes().first() {
        Some(b'%') => next == b'%' || next.is_ascii_alphabetic(),
        Some(b'!') => next != b'=',
        Some(b'?') => true,
        _ => {
            let name = body.trim_end_matches('?');
            let simple = |c: char| c.is_alphanumeric() || "_.%*".contains(c);
            name.len() < body.len() && !name.is_empty() && name.chars().all(simple)
        }
    }
}

/// The target of `target = !command` or `target = %magic`.
fn captured(body: &str) -> Option<&str> {
    let (target, value) = body.split_once('=')?;
    let (target, value) = (target.trim(), value.trim_start());
    let name = |c: char| c.is_alphanumeric() || c == '_';
    let plain = !target.is_empty() && target.chars().all(name);
    let magic = value.starts_with('!') && !value.starts_with("!=")
        || value.strip_prefix('%').is_some_and(|rest| rest.starts_with(|c: char| c.is_alphabetic()));
    (plain && magic).then_some(target)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cell(source: &str) -> serde_json::Value {
        json!({"cell_type": "code", "source": source, "outputs": [], "metadata": {}})
    }

    fn notebook(cells: &[serde_json::Value]) -> String {
        json!({"cells": cells, "metadata": {"language_info": {"name": "python"}}}).to_string()
    }

    #[test]
    fn code_cells_become_one_text_and_prose_is_left_out() {
        let prose = json!({"cell_type": "markdown", "source": ["# Title"]});
        let listed = json!({"cell_type": "code", "source": ["a = 1\n", "b = 2"]});
        let text = notebook(&[prose, listed, cell(""), cell("print(a)\n")]);
        assert_eq!(code(&text).unwrap(), "a = 1\nb = 2\n\nprint(a)\n");
    }

    #[test]
    fn version_3_notebooks_are_read() {
        let old = json!({"cell_type": "code", "input": "x = 1", "language": "python"});
        let text = json!({"worksheets": [{"cells": [old]}], "nbformat": 3}).to_string();
        assert_eq!(code(&text).unwrap(), "x = 1\n");
    }

    #[test]
    fn magics_are_commented_out_so_that_the_rest_parses() {
        let source =
            "%matplotlib inline\n!pip install \\\n  numpy\nif x:\n    !ls\nfiles = !ls\nt = %timeit f()\nnp.array?\n";
        let plain = "# %matplotlib inline\n# !pip install \\\n#   numpy\nif x:\n    pass  # !ls\nfiles = None  # files = !ls\nt = None  # t = %timeit f()\n# np.array?\n";
        assert_eq!(code(&notebook(&[cell(source)])).unwrap(), plain);
    }

    #[test]
    fn cell_magics_keep_a_python_body_and_drop_another_language() {
        let cells = [cell("%%time\nrun()"), cell("%%bash\nls | wc"), cell("%%html\n<b>")];
        let expected = "# %%time\nrun()\n\n# %%bash\n# ls | wc\n\n# %%html\n# <b>\n";
        assert_eq!(code(&notebook(&cells)).unwrap(), expected);
    }

    #[test]
    fn operators_at_the_start_of_a_line_are_not_magics() {
        let source = "s = ('%d'\n     % (n,)\n     != '1')\nprint('why?')\n";
        assert_eq!(code(&notebook(&[cell(source)])).unwrap(), source);
    }

    #[test]
    fn broken_foreign_and_codeless_notebooks_are_rejected() {
        let message = |text: &str| {
            let flaw = code(text).unwrap_err();
            assert_eq!(flaw.fault, Fault::BrokenNotebook);
            flaw.message
        };
        assert!(message("{\"cells\": [").contains("not a notebook"));
        assert!(message(&notebook(&[])).contains("no code"));
        let r = json!({"cells": [cell("x <- 1")], "metadata": {"kernelspec": {"language": "R"}}});
        assert!(message(&r.to_string()).contains("its language is R"));
    }
}
