//! Where a snippet can be changed: its nodes by kind, its statements by block, its names by scope, from one walk.

use std::ops::Range;

use tree_sitter::{Node, Tree};

use crate::python::{Kind, kind_of};

/// A statement with the lines that it fills.
#[derive(Clone, Debug)]
pub(super) struct Statement<'t> {
    pub node: Node<'t>,
    pub kind: Kind,
    /// Whole lines with their line end.
    pub lines: Range<usize>,
    /// The white space before it.
    pub indent: Range<usize>,
    /// Fills its lines alone, so that they can be moved.
    pub whole: bool,
    pub docstring: bool,
    pub scope: usize,
}

/// A block with its statements, by index.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// What the block is the body of.
    pub owner: Kind,
    pub statements: Vec<usize>,
}

/// A use of a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use<'t> {
    pub node: Node<'t>,
    pub scope: usize,
}

/// What a walk over a snippet found. Annotations, decorators, docstrings and imports are not searched: a change there
/// would be no bug, or one that nobody makes.
#[derive(Default)]
pub(super) struct Survey<'t> {
    pub text: &'t str,
    pub statements: Vec<Statement<'t>>,
    pub blocks: Vec<Block>,
    pub comments: Vec<Node<'t>>,
    /// Uses of plain names, without the functions that are called.
    pub names: Vec<Use<'t>>,
    /// The `attribute` parts of `object.attribute`, without methods that are called.
    pub attributes: Vec<Node<'t>>,
    /// Names that each scope binds, sorted; scope 0 is the snippet itself.
    pub bound: Vec<Vec<&'t str>>,
    pub comparisons: Vec<Node<'t>>,
    pub binaries: Vec<Node<'t>>,
    pub booleans: Vec<Node<'t>>,
    pub nots: Vec<Node<'t>>,
    pub constants: Vec<Node<'t>>,
    pub strings: Vec<Node<'t>>,
    pub slices: Vec<Node<'t>>,
    pub subscripts: Vec<Node<'t>>,
    pub calls: Vec<Node<'t>>,
    pub augmented: Vec<Node<'t>>,
    /// Annotated types of functions' results.
    pub results: Vec<Node<'t>>,
    /// Conditions of `if`, `elif` and `while`.
    pub conditions: Vec<Use<'t>>,
    pub raises: Vec<Node<'t>>,
    pub loops: Vec<Node<'t>>,
    pub yields: bool,
    pub comprehensions: u32,
}

struct Frame {
    kind: Kind,
    /// Restored when the walk leaves.
    scope: usize,
    block: Option<usize>,
}

impl<'t> Survey<'t> {
    /// Walks `tree`, parsed from `text`.
    pub(super) fn new(tree: &'t Tree, text: &'t str) -> Self {
        let mut survey = Self { text, bound: vec![Vec::new()], ..Self::default() };
        let mut cursor = tree.walk();
        let mut frames: Vec<Frame> = Vec::new();
        let (mut scope, mut block) = (0, None);
        loop {
            let node = cursor.node();
            let kind = kind_of(node);
            let parent = frames.last().map_or(Kind::Other, |frame| frame.kind);
            let field = if kind == Kind::Token { None } else { cursor.field_name() };
            if matches!(parent, Kind::Block | Kind::Module) && node.is_named() && kind != Kind::Comment {
                survey.statement(node, kind, block, scope);
            }
            let descend = survey.note(node, kind, parent, field, scope);
            if descend && cursor.goto_first_child() {
                frames.push(Frame { kind, scope, block });
                match kind {
                    Kind::Function | Kind::Lambda => {
                        survey.bound.push(Vec::new());
                        scope = survey.bound.len() - 1;
                    }
                    Kind::Block | Kind::Module => {
                        block = Some(survey.blocks.len());
                        survey.blocks.push(Block { owner: parent, statements: Vec::new() });
                    }
                    _ => {}
                }
                continue;
            }
            while !cursor.goto_next_sibling() {
                let Some(frame) = frames.pop() else {
                    survey.finish();
                    return survey;
                };
                cursor.goto_parent();
                (scope, block) = (frame.scope, frame.block);
            }
        }
    }

    pub(super) fn of(&self, node: Node<'t>) -> &'t str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    /// The text of a statement's margin.
    pub(super) fn indent(&self, statement: &Statement<'t>) -> &'t str {
        self.text.get(statement.indent.clone()).unwrap_or_default()
    }

    /// Variables of `scope` that a use could be mistaken for.
    pub(super) fn variables(&self, scope: usize) -> &[&'t str] {
        self.bound.get(scope).map_or(&[], Vec::as_slice)
    }

    fn statement(&mut self, node: Node<'t>, kind: Kind, block: Option<usize>, scope: usize) {
        let bytes = node.byte_range();
        let line = self.text[..bytes.start].rfind('\n').map_or(0, |at| at + 1);
        let rest = &self.text[bytes.end..];
        let end = bytes.end + rest.find('\n').map_or(rest.len(), |at| at + 1);
        let before = self.text[line..bytes.start].trim().is_empty();
        let after = rest.split('\n').next().unwrap_or_default().trim();
        let Some(block) = block else { return };
        let literal =
            kind == Kind::ExpressionStatement && node.child(0).is_some_and(|child| kind_of(child) == Kind::String);
        self.statements.push(Statement {
            node,
            kind,
            lines: line..end,
            indent: line..bytes.start,
            whole: before && (after.is_empty() || after.starts_with('#')),
            docstring: literal && self.blocks[block].statements.is_empty(),
            scope,
        });
        let index = self.statements.len() - 1;
        self.blocks[block].statements.push(index);
    }

    /// Files `node` by its kind; returns whether to look inside.
    fn note(&mut self, node: Node<'t>, kind: Kind, parent: Kind, field: Option<&str>, scope: usize) -> bool {
        if kind == Kind::Type && parent == Kind::Function {
            self.results.push(node);
        }
        match kind {
            Kind::Decorator
            | Kind::Type
            | Kind::Import
            | Kind::ImportFrom
            | Kind::Future
            | Kind::Global
            | Kind::Nonlocal
            | Kind::Token => return false,
            Kind::ExpressionStatement => {
                // A string that stands alone is a docstring or a remark.
                return node.child(0).is_none_or(|child| kind_of(child) != Kind::String);
            }
            Kind::Comment => self.comments.push(node),
            Kind::Identifier => self.name(node, parent, field, scope),
            Kind::Comparison => self.comparisons.push(node),
            Kind::Binary => self.binaries.push(node),
            Kind::Boolean => self.booleans.push(node),
            Kind::Not => self.nots.push(node),
            Kind::Integer | Kind::Float | Kind::True | Kind::False => self.constants.push(node),
            Kind::String => self.strings.push(node),
            Kind::Slice => self.slices.push(node),
            Kind::Subscript => self.subscripts.push(node),
            Kind::Call => self.calls.push(node),
            Kind::AugmentedAssignment => self.augmented.push(node),
            Kind::Raise => self.raises.push(node),
            Kind::For | Kind::While => self.loops.push(node),
            Kind::Yield => self.yields = true,
            Kind::ListComprehension | Kind::SetComprehension | Kind::DictionaryComprehension | Kind::Generator => {
                self.comprehensions += 1;
            }
            _ => {}
        }
        if field == Some("condition") && matches!(parent, Kind::If | Kind::Elif | Kind::While) {
            self.conditions.push(Use { node, scope });
        }
        true
    }

    fn name(&mut self, node: Node<'t>, parent: Kind, field: Option<&str>, scope: usize) {
        let text = self.of(node);
        match parent {
            Kind::Parameters
            | Kind::TypedParameter
            | Kind::LambdaParameters
            | Kind::ListSplatPattern
            | Kind::DictionarySplatPattern
            | Kind::PatternList
            | Kind::TuplePattern
            | Kind::ListPattern
            | Kind::AsPatternTarget => self.bind(scope, text),
            Kind::DefaultParameter | Kind::TypedDefaultParameter | Kind::NamedExpression if field == Some("name") => {
                self.bind(scope, text);
            }
            Kind::Assignment | Kind::For | Kind::ForInClause if field == Some("left") => {
                self.bind(scope, text);
            }
            Kind::AugmentedAssignment if field == Some("left") => {}
            Kind::Attribute if field == Some("attribute") => self.attributes.push(node),
            Kind::Function | Kind::Class | Kind::KeywordArgument if field == Some("name") => {}
            Kind::Call if field == Some("function") => {}
            _ => self.names.push(Use { node, scope }),
        }
    }

    fn bind(&mut self, scope: usize, name: &'t str) {
        if !matches!(name, "self" | "cls" | "_")
            && let Some(names) = self.bound.get_mut(scope)
        {
            names.push(name);
        }
    }

    fn finish(&mut self) {
        for names in &mut self.bound {
            names.sort_unstable();
            names.dedup();
        }
        // A name that its scope does not bind is a global or a builtin.
        let bound = &self.bound;
        let text = self.text;
        self.names.retain(|name| {
            let known = text.get(name.node.byte_range()).unwrap_or_default();
            bound[name.scope].binary_search(&known).is_ok()
        });
        let called: Vec<usize> = self
            .calls
            .iter()
            .filter_map(|call| call.child_by_field_name("function"))
            .map(|function| function.end_byte())
            .collect();
        self.attributes.retain(|attribute| !called.contains(&attribute.end_byte()));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::python::Parser;

    const CODE: &str = "\
@decorated(1)
def f(a, b: int = 2, *rest):
    \"\"\"Doc 3.\"\"\"
    total = 0  # four
    for item in a:
        if item > b and not rest:
            total += item.size
            item.grow(total)
    return total
";

    #[test]
    fn names_are_told_from_bindings_and_callees() {
        let parsed = Parser::new().parse(CODE);
        let survey = Survey::new(parsed.tree().unwrap(), CODE);
        assert_eq!(survey.variables(1), ["a", "b", "item", "rest", "total"]);
        let names: Vec<&str> = survey.names.iter().map(|name| survey.of(name.node)).collect();
        assert_eq!(names, ["a", "item", "b", "rest", "item", "item", "total", "total"]);
        let attributes: Vec<&str> = survey.attributes.iter().map(|node| survey.of(*node)).collect();
        assert_eq!(attributes, ["size"]);
    }

    #[test]
    fn decorators_annotations_and_docstrings_are_not_searched() {
        let parsed = Parser::new().parse(CODE);
        let survey = Survey::new(parsed.tree().unwrap(), CODE);
        let constants: Vec<&str> = survey.constants.iter().map(|node| survey.of(*node)).collect();
        assert_eq!(constants, ["2", "0"]);
        assert!(survey.strings.is_empty());
    }

    #[test]
    fn statements_know_their_lines_and_block() {
        let parsed = Parser::new().parse(CODE);
        let survey = Survey::new(parsed.tree().unwrap(), CODE);
        let body = survey.blocks.iter().find(|block| block.owner == Kind::Function).unwrap();
        assert_eq!(body.statements.len(), 4);
        let statements: Vec<_> = body.statements.iter().map(|n| &survey.statements[*n]).collect();
        assert!(statements[0].docstring && !statements[1].docstring);
        assert_eq!(&CODE[statements[1].lines.clone()], "    total = 0  # four\n");
        assert!(statements.iter().all(|statement| statement.whole));
    }
}
