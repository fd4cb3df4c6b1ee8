//! Source files to work on: repositories of small functions, with copies and flawed files among them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

const VERBS: [&str; 8] = ["count", "merge", "split", "scale", "find", "drop", "rank", "fold"];
const NOUNS: [&str; 12] =
    ["orders", "tokens", "edges", "prices", "rows", "words", "shapes", "users", "paths", "events", "keys", "cells"];
const OPERATORS: [&str; 6] = ["<", "<=", ">", ">=", "==", "!="];
const ARITHMETIC: [&str; 4] = ["+", "-", "*", "//"];

/// A function of six to nine lines that no other call with another state of `rng` gives.
fn function(rng: &mut StdRng) -> String {
    let word = |rng: &mut StdRng| *NOUNS.choose(rng).unwrap();
    let (verb, noun, other) = (*VERBS.choose(rng).unwrap(), word(rng), word(rng));
    let (operator, sign) = (*OPERATORS.choose(rng).unwrap(), *ARITHMETIC.choose(rng).unwrap());
    let (limit, step, tag) = (rng.random_range(1..500), rng.random_range(2..90), rng.random_range(1000..9999));
    let mut text = format!("def {verb}_{noun}_{tag}({noun}, limit_{other}={limit}):\n");
    writeln!(text, "    \"\"\"{verb} the {noun} of {other} by {step}.\"\"\"").unwrap();
    match rng.random_range(0..3) {
        0 => {
            writeln!(text, "    {other}_{step} = []\n    for one_{tag} in {noun}:").unwrap();
            writeln!(text, "        if one_{tag} {operator} limit_{other}:").unwrap();
            writeln!(text, "            {other}_{step}.append(one_{tag} {sign} {step})").unwrap();
            writeln!(text, "    return {other}_{step}").unwrap();
        }
        1 => {
            writeln!(text, "    total_{tag} = {step}\n    while total_{tag} {operator} limit_{other}:").unwrap();
            writeln!(text, "        total_{tag} = total_{tag} {sign} len({noun}) + {limit}").unwrap();
            writeln!(text, "        if not {noun}:\n            break").unwrap();
            writeln!(text, "    return total_{tag}, limit_{other}").unwrap();
        }
        _ => {
            writeln!(text, "    table_{tag} = {{}}\n    for at_{step}, {other}_{tag} in enumerate({noun}):").unwrap();
            writeln!(text, "        table_{tag}.setdefault({other}_{tag} {sign} {limit}, at_{step})").unwrap();
            writeln!(text, "    if len(table_{tag}) {operator} limit_{other}:\n        raise ValueError({tag})")
                .unwrap();
            writeln!(text, "    return sorted(table_{tag})").unwrap();
        }
    }
    text
}

/// A module of `functions` functions.
pub fn module(seed: u64, functions: usize) -> String {
    let mut rng = StdRng::seed_from_u64(seed);
    let parts: Vec<String> = (0..functions).map(|_| function(&mut rng)).collect();
    format!("import os\n\n\n{}", parts.join("\n\n"))
}

/// Lays `repositories` folders below `folder`, each of three modules of three functions; some hold copies and flaws too.
pub fn lay(folder: &Path, repositories: u64) {
    for number in 0..repositories {
        let repository = folder.join(format!("repository-{number}"));
        fs::create_dir_all(repository.join("package")).unwrap();
        for file in 0..3 {
            let text = module(number * 100 + file, 3);
            fs::write(repository.join(format!("package/part_{file}.py")), text).unwrap();
        }
    }
    let last = folder.join(format!("repository-{}", repositories - 1));
    let first = module(0, 3);
    fs::write(last.join("exact_copy.py"), &first).unwrap();
    fs::write(last.join("near_copy.py"), first.replace("import os", "import os, sys")).unwrap();
    fs::write(last.join("syntax_error.py"), format!("{}def broken(:\n    return\n", module(7001, 1))).unwrap();
    fs::write(last.join("long_line.py"), format!("{}x = '{}'\n", module(7002, 1), "a".repeat(2000))).unwrap();
    fs::write(last.join("empty.py"), "").unwrap();
    fs::write(last.join("latin.py"), b"name = '\xe9'\n".repeat(8)).unwrap();
    fs::write(last.join("nul.py"), b"name = '\0'\n".repeat(8)).unwrap();
}

/// Adds a repository whose files are too long for the filter, of `megabytes` in all: reading it takes several commits.
pub fn lay_bulk(repository: &Path, megabytes: u64) {
    fs::create_dir_all(repository).unwrap();
    for file in 0..megabytes * 4 {
        let mut rng = StdRng::seed_from_u64(900_000 + file);
        let mut text = String::new();
        while text.len() < 250_000 {
            writeln!(text, "value_{} = {}", rng.random_range(0..1_000_000), rng.random_range(0..1_000_000)).unwrap();
        }
        fs::write(repository.join(format!("table_{file}.py")), text).unwrap();
    }
}
