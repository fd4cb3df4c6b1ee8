//! The one walk over a tree: definitions, imports and faults as byte ranges, with no text copied.
//!
//! The walk goes from statement to statement and never into expressions, which are most of a tree. Subtrees with
//! errors are the exception: they are searched to the bottom, and only they.

use std::ops::Range;

use tree_sitter::{Node, Point, Tree, TreeCursor};

use super::docstring::docstring_range;
use super::fault::{Flaw, FlawKind};
use super::imports::Import;
use super::kinds::{Kind, kind_of};

/// A function, method or class as it lies in the source.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    pub is_class: bool,
    /// Directly inside a class, whatever `if` or `try` lies between.
    pub in_class: bool,
    /// Somewhere inside a function, so that it may lean on that function's names.
    pub in_function: bool,
    pub parent: Option<usize>,
    pub name: Range<usize>,
    /// With decorators.
    pub bytes: Range<usize>,
    pub rows: Range<usize>,
    /// From `def`, `async` or `class` to the colon.
    pub header: Range<usize>,
    pub docstring: Option<Range<usize>>,
}

/// What one walk found, in source order.
#[derive(Clone, Debug, Default)]
pub(super) struct Outline {
    pub definitions: Vec<Definition>,
    pub imports: Vec<Import>,
    pub flaws: Vec<Flaw>,
    pub docstring: Option<Range<usize>>,
    /// Whether some statement does more than name a value: what tells code from a line of prose.
    pub does_something: bool,
}

struct Frame {
    kind: Kind,
    definition: Option<usize>,
    /// Statements of a block so far, or handlers of a `try`.
    statements: u32,
    column: usize,
    last_row: usize,
    start: (usize, Point),
}

pub(super) fn outline(tree: &Tree, source: &str) -> Outline {
    let mut found = Outline::default();
    let root = tree.root_node();
    let mut cursor = tree.walk();
    let mut frames: Vec<Frame> = Vec::new();
    found.docstring = docstring_range(root, &mut root.walk());
    let mut side = root.walk();
    loop {
        let node = cursor.node();
        let kind = kind_of(node);
        if let Some(frame) = frames.last_mut() {
            match frame.kind {
                Kind::Block | Kind::Module if node.is_named() && kind != Kind::Comment => {
                    check_column(frame, node, source, &mut found.flaws);
                }
                Kind::Decorated | Kind::If | Kind::For | Kind::While | Kind::Try => {
                    check_clause(frame, node, kind, &mut found.flaws);
                }
                _ => {}
            }
        }
        let definition = visit(node, kind, &frames, &mut found, &mut side);
        if descends(kind) && cursor.goto_first_child() {
            let start = node.start_position();
            frames.push(Frame {
                kind,
                definition,
                statements: 0,
                column: 0,
                last_row: usize::MAX,
                start: (node.start_byte(), start),
            });
            continue;
        }
        if kind == Kind::Block {
            found.flaws.push(Flaw::new(FlawKind::EmptyBlock, node));
        }
        loop {
            if cursor.goto_next_sibling() {
                break;
            }
            if !cursor.goto_parent() {
                if root.has_error() {
                    errors(root, &mut found.flaws);
                }
                found.flaws.sort_by_key(|flaw| flaw.byte);
                return found;
            }
            let Some(frame) = frames.pop() else { continue };
            let kind = match frame.kind {
                Kind::Block => FlawKind::EmptyBlock,
                Kind::Try => FlawKind::BareTry,
                _ => continue,
            };
            if frame.statements == 0 {
                let (byte, point) = frame.start;
                found.flaws.push(Flaw { kind, byte, point });
            }
        }
    }
}

fn descends(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Module
            | Kind::Block
            | Kind::Function
            | Kind::Class
            | Kind::Decorated
            | Kind::If
            | Kind::Elif
            | Kind::Else
            | Kind::For
            | Kind::While
            | Kind::Try
            | Kind::Except
            | Kind::Finally
            | Kind::With
            | Kind::Match
            | Kind::Case
            | Kind::Error
    )
}

/// Records what `node` is; returns its index if it is a definition.
fn visit<'tree>(
    node: Node<'tree>,
    kind: Kind,
    frames: &[Frame],
    found: &mut Outline,
    side: &mut TreeCursor<'tree>,
) -> Option<usize> {
    let in_function = || {
        let mut parent = frames.iter().rev().find_map(|frame| frame.definition);
        while let Some(index) = parent {
            let definition: &Definition = &found.definitions[index];
            if !definition.is_class {
                return true;
            }
            parent = definition.parent;
        }
        false
    };
    match kind {
        Kind::Function | Kind::Class => {
            found.does_something = true;
            let in_function = in_function();
            let parent = frames.iter().rev().find_map(|frame| frame.definition);
            let in_class = parent.is_some_and(|index| found.definitions[index].is_class);
            let (name, header) = header(node, side)?;
            let decorated = frames.last().filter(|frame| frame.kind == Kind::Decorated);
            let (start, point) = decorated.map_or((node.start_byte(), node.start_position()), |frame| frame.start);
            let last = node.end_position();
            let rows = point.row..last.row + usize::from(last.column > 0);
            let body = node.child_by_field_name("body");
            found.definitions.push(Definition {
                is_class: kind == Kind::Class,
                in_class,
                in_function,
                parent,
                name,
                bytes: start..node.end_byte(),
                rows,
                header,
                docstring: body.and_then(|body| docstring_range(body, side)),
            });
            return Some(found.definitions.len() - 1);
        }
        Kind::Import | Kind::ImportFrom => {
            found.does_something = true;
            let local = in_function();
            Import::collect(node, kind, local, side, &mut found.imports);
        }
        Kind::Print | Kind::Exec => {
            found.does_something = true;
            found.flaws.push(Flaw::new(FlawKind::OldStatement, node));
        }
        Kind::ExpressionStatement if !found.does_something => {
            found.does_something = node.child(0).is_some_and(|child| {
                !matches!(
                    kind_of(child),
                    Kind::Identifier
                        | Kind::String
                        | Kind::Integer
                        | Kind::Float
                        | Kind::Tuple
                        | Kind::Attribute
                        | Kind::ConcatenatedString
                )
            });
        }
        Kind::ExpressionStatement
        | Kind::Comment
        | Kind::Token
        | Kind::Module
        | Kind::Block
        | Kind::Error
        | Kind::Other => {}
        _ => found.does_something = true,
    }
    None
}

/// The name of a definition and its head from `def` to the colon; `None` where an error swallowed the name.
fn header<'tree>(node: Node<'tree>, side: &mut TreeCursor<'tree>) -> Option<(Range<usize>, Range<usize>)> {
    side.reset(node);
    let (mut name, mut end) = (None, node.start_byte());
    if side.goto_first_child() {
        loop {
            match side.field_name() {
                Some("name") => {
                    name = Some(side.node().byte_range());
                    end = side.node().end_byte();
                }
                Some("parameters" | "return_type" | "superclasses" | "type_parameters") => {
                    end = side.node().end_byte();
                }
                _ => {}
            }
            if !side.goto_next_sibling() {
                break;
            }
        }
    }
    Some((name?, node.start_byte()..end))
}

/// Statements of one block stand in one column; the grammar lets a deeper one pass.
fn check_column(frame: &mut Frame, node: Node<'_>, source: &str, flaws: &mut Vec<Flaw>) {
    let start = node.start_position();
    let own_line = frame.last_row != start.row;
    if frame.statements == 0 && frame.kind == Kind::Block {
        frame.column = start.column;
    } else if own_line && start.column != frame.column && !node.is_error() {
        let before = &source.as_bytes()[node.start_byte() - start.column..node.start_byte()];
        // A form feed, a byte order mark or a continued line put a statement in another column without a fault.
        if before.iter().all(|byte| matches!(byte, b' ' | b'\t')) && !continued(source, node, start) {
            flaws.push(Flaw::new(FlawKind::Indent, node));
        }
    }
    frame.statements += 1;
    frame.last_row = node.end_position().row;
}

/// Decorators and their definition, `if` and its `else`, `try` and its handlers: each pair shares a column.
fn check_clause(frame: &mut Frame, node: Node<'_>, kind: Kind, flaws: &mut Vec<Flaw>) {
    let clause = match kind {
        Kind::Except | Kind::Finally => {
            frame.statements += 1;
            true
        }
        Kind::Elif | Kind::Else | Kind::Decorator | Kind::Function | Kind::Class => true,
        _ => false,
    };
    if clause && node.start_position().column != frame.start.1.column {
        flaws.push(Flaw::new(FlawKind::Indent, node));
    }
}

fn continued(source: &str, node: Node<'_>, start: Point) -> bool {
    let line = node.start_byte() - start.column;
    source[..line].trim_end_matches('\n').ends_with('\\')
}

/// Every `ERROR` and missing node, going only into subtrees that have one.
fn errors(root: Node<'_>, flaws: &mut Vec<Flaw>) {
    let mut cursor = root.walk();
    loop {
        let node = cursor.node();
        if node.is_missing() {
            flaws.push(Flaw::new(FlawKind::Missing(node.kind_id()), node));
        } else if node.is_error() {
            flaws.push(Flaw::new(FlawKind::Unexpected, node));
        }
        if node.has_error() && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return;
            }
        }
    }
}
