//! The grammar's node kinds as a small enum: comparing numbers keeps strings out of the walk.

use std::sync::LazyLock;

use tree_sitter::Node;

macro_rules! kinds {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// The node kinds that this crate tells apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $(#[doc = concat!("`", $text, "`")] $name,)*
            /// An `ERROR` node.
            Error,
            /// Any other named node.
            Other,
            /// A token without a name: keywords, operators, brackets.
            Token,
        }

        const NAMED: &[(Kind, &str)] = &[$((Kind::$name, $text)),*];
    };
}

kinds! {
    Module = "module",
    Block = "block",
    Function = "function_definition",
    Class = "class_definition",
    Decorated = "decorated_definition",
    Decorator = "decorator",
    If = "if_statement",
    Elif = "elif_clause",
    Else = "else_clause",
    For = "for_statement",
    While = "while_statement",
    Try = "try_statement",
    Except = "except_clause",
    Finally = "finally_clause",
    With = "with_statement",
    Match = "match_statement",
    Case = "case_clause",
    Import = "import_statement",
    ImportFrom = "import_from_statement",
    AliasedImport = "aliased_import",
    Wildcard = "wildcard_import",
    DottedName = "dotted_name",
    RelativeImport = "relative_import",
    Future = "future_import_statement",
    ExpressionStatement = "expression_statement",
    Print = "print_statement",
    Exec = "exec_statement",
    Return = "return_statement",
    Raise = "raise_statement",
    Assert = "assert_statement",
    Pass = "pass_statement",
    Break = "break_statement",
    Continue = "continue_statement",
    Delete = "delete_statement",
    Global = "global_statement",
    Nonlocal = "nonlocal_statement",
    Comment = "comment",
    String = "string",
    StringStart = "string_start",
    StringContent = "string_content",
    StringEnd = "string_end",
    Interpolation = "interpolation",
    ConcatenatedString = "concatenated_string",
    Integer = "integer",
    Float = "float",
    True = "true",
    False = "false",
    None = "none",
    Identifier = "identifier",
    Attribute = "attribute",
    Subscript = "subscript",
    Slice = "slice",
    Call = "call",
    Arguments = "argument_list",
    KeywordArgument = "keyword_argument",
    ListSplat = "list_splat",
    DictionarySplat = "dictionary_splat",
    Parameters = "parameters",
    LambdaParameters = "lambda_parameters",
    DefaultParameter = "default_parameter",
    TypedParameter = "typed_parameter",
    TypedDefaultParameter = "typed_default_parameter",
    ListSplatPattern = "list_splat_pattern",
    DictionarySplatPattern = "dictionary_splat_pattern",
    Assignment = "assignment",
    AugmentedAssignment = "augmented_assignment",
    NamedExpression = "named_expression",
    PatternList = "pattern_list",
    TuplePattern = "tuple_pattern",
    ListPattern = "list_pattern",
    Binary = "binary_operator",
    Unary = "unary_operator",
    Boolean = "boolean_operator",
    Not = "not_operator",
    Comparison = "comparison_operator",
    Conditional = "conditional_expression",
    Parenthesized = "parenthesized_expression",
    Tuple = "tuple",
    List = "list",
    Dictionary = "dictionary",
    Set = "set",
    ListComprehension = "list_comprehension",
    DictionaryComprehension = "dictionary_comprehension",
    SetComprehension = "set_comprehension",
    Generator = "generator_expression",
    ForInClause = "for_in_clause",
    IfClause = "if_clause",
    Lambda = "lambda",
    Await = "await",
    Yield = "yield",
    Type = "type",
    AsPattern = "as_pattern",
    AsPatternTarget = "as_pattern_target",
    WithClause = "with_clause",
    WithItem = "with_item",
}

static TABLE: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let language: tree_sitter::Language = tree_sitter_python::LANGUAGE.into();
    (0..language.node_kind_count() as u16)
        .map(|id| {
            if !language.node_kind_is_named(id) {
                return Kind::Token;
            }
            let text = language.node_kind_for_id(id).unwrap_or_default();
            NAMED.iter().find(|(_, known)| *known == text).map_or(Kind::Other, |(kind, _)| *kind)
        })
        .collect()
});

/// Returns the kind of `node`.
pub fn kind_of(node: Node<'_>) -> Kind {
    match node.kind_id() {
        u16::MAX => Kind::Error,
        id => TABLE.get(usize::from(id)).copied().unwrap_or(Kind::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, NAMED, TABLE};

    #[test]
    fn every_kind_that_is_named_here_exists_in_the_grammar() {
        for (kind, text) in NAMED {
            assert!(TABLE.contains(kind), "the grammar has no node kind {text}");
        }
    }

    #[test]
    fn a_keyword_token_is_not_taken_for_the_node_of_the_same_name() {
        assert!(TABLE.contains(&Kind::Token));
    }
}
