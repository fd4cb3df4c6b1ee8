//! LaTeX's commands and plain words that answers are written with.

/// Functions, with or without a backslash.
pub(super) const FUNCTIONS: [&str; 24] = [
    "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "lg",
    "exp", "gcd", "lcm", "min", "max", "det", "arg", "Re", "Im",
];

/// Commands that stand for names.
pub(super) const NAMES: [&str; 34] = [
    "pi",
    "infty",
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "varepsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "rho",
    "sigma",
    "tau",
    "upsilon",
    "phi",
    "varphi",
    "chi",
    "psi",
    "omega",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Sigma",
    "Phi",
    "Psi",
    "Omega",
];

/// Commands that stand for signs.
pub(super) const SIGNS: [(&str, char); 25] = [
    ("cdot", '*'),
    ("times", '*'),
    ("ast", '*'),
    ("div", '/'),
    ("pm", '±'),
    ("mp", '∓'),
    ("{", '⟦'),
    ("}", '⟧'),
    ("lbrace", '⟦'),
    ("rbrace", '⟧'),
    ("lvert", '|'),
    ("rvert", '|'),
    ("vert", '|'),
    ("mid", '|'),
    ("lfloor", '⌊'),
    ("rfloor", '⌋'),
    ("lceil", '⌈'),
    ("rceil", '⌉'),
    ("langle", '('),
    ("rangle", ')'),
    ("lbrack", '['),
    ("rbrack", ']'),
    ("colon", ':'),
    ("prime", '\''),
    ("|", '|'),
];

/// Commands that stand for relations.
pub(super) const RELATIONS: [(&str, &str); 20] = [
    ("le", "<="),
    ("leq", "<="),
    ("leqslant", "<="),
    ("ge", ">="),
    ("geq", ">="),
    ("geqslant", ">="),
    ("lt", "<"),
    ("gt", ">"),
    ("ne", "!="),
    ("neq", "!="),
    ("in", "in"),
    ("cup", "cup"),
    ("cap", "cap"),
    ("setminus", "setminus"),
    ("backslash", "setminus"),
    ("approx", "="),
    ("equiv", "="),
    ("Rightarrow", "="),
    ("to", "="),
    ("implies", "="),
];

/// Commands that say nothing, with those for sizes and spaces.
pub(super) const NOTHING: [&str; 33] = [
    "left",
    "right",
    "big",
    "Big",
    "bigg",
    "Bigg",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "displaystyle",
    "textstyle",
    "limits",
    "!",
    ",",
    ";",
    ":",
    " ",
    ">",
    "quad",
    "qquad",
    "$",
    "%",
    "degree",
    "degrees",
    "circ",
    "percent",
    "mathrm",
    "mathbf",
    "mathit",
    "hspace",
    "vspace",
    "bold",
];

/// Commands whose argument is words.
pub(super) const TEXTS: [&str; 9] =
    ["text", "textbf", "textit", "textrm", "texttt", "textsf", "mbox", "hbox", "operatorname"];

/// Units in letters that are not words of three or more.
pub(super) const SHORT_UNITS: [&str; 19] =
    ["cm", "mm", "km", "dm", "kg", "mg", "ml", "mL", "in", "ft", "yd", "mi", "oz", "lb", "hr", "sq", "cu", "am", "pm"];
