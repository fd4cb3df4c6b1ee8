//! Reading Python: one parse and one walk of a document give its faults, its snippets and what each of them imports.
//!
//! Invariants: the same text always gives the same snippets; nothing here recurses, so nesting cannot overflow the
//! stack; positions are 1-based and count characters. What to keep, and files themselves, are left to others.

mod allocator;
mod answer;
mod docstring;
mod fault;
mod imports;
mod kinds;
mod outline;
mod parse;
mod scan;
mod snippet;
mod tokens;

pub use answer::{AnswerForm, ExtractedCode, code_from_answer};
pub use fault::{SyntaxFault, syntax_fault};
pub use kinds::{Kind, kind_of};
pub use parse::{MAX_BYTES, MAX_NESTING, Parsed, Parser};
pub use scan::{Layout, Lexeme, layout, lexemes};
pub use snippet::{Limits, Snippet, Unit, without_margin};
pub use tokens::token_estimate;
