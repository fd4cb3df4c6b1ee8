//! Hand-written cases, and what holds for all answers.

use proptest::prelude::*;

use super::*;

const MATH: &str = include_str!("../../../fixtures/answers/math.txt");
const NUMBERS: &str = include_str!("../../../fixtures/answers/numbers.txt");

/// Both answers of a case, and whether they are the same.
fn cases(file: &'static str) -> Vec<(&'static str, &'static str, bool)> {
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &'static str| match (line.split_once(" \u{2261} "), line.split_once(" \u{2262} ")) {
        (Some((one, other)), None) => (one, other, true),
        (None, Some((one, other))) => (one, other, false),
        _ => panic!("no case: {line}"),
    };
    lines.map(case).collect()
}

fn check(file: &'static str, answering: Answering, least: usize) {
    let cases = cases(file);
    assert!(cases.len() >= least, "{}", cases.len());
    let wrong: Vec<String> = (cases.iter())
        .filter(|(one, other, equal)| same(one, other, answering) != *equal)
        .map(|(one, other, _)| {
            format!("{one} ~ {other}: {:?} and {:?}", canonical(one, answering), canonical(other, answering))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn hand_written_answers_in_the_style_of_math_are_told_apart_as_a_person_would() {
    check(MATH, Answering::Math, 300);
}

#[test]
fn hand_written_numbers_in_the_style_of_gsm8k_are_told_apart_as_a_person_would() {
    check(NUMBERS, Answering::Number, 50);
}

/// Answers of the file, pieces of LaTeX put together by chance, and any characters at all.
fn answer() -> impl Strategy<Value = String> {
    let known: Vec<&'static str> = cases(MATH).into_iter().flat_map(|(one, other, _)| [one, other]).collect();
    let pieces = prop::sample::select(vec![
        "\\frac",
        "\\sqrt",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "1",
        "2",
        "37",
        "x",
        "y",
        "+",
        "-",
        "*",
        "/",
        "^",
        "_",
        ",",
        "=",
        "<",
        "\\le",
        "\\pi",
        "\\text{cm}",
        "\\{",
        "\\}",
        "\\pm",
        " ",
        ".",
        "!",
        "|",
        "\\cup",
        "\\infty",
        "%",
        "$",
        "\\\\",
        "&",
        "\\begin{pmatrix}",
        "\\end{pmatrix}",
        "i",
        "e",
        "\\sin",
        "\\log",
        ":",
        "0",
        "\\boxed",
        "\\binom",
    ]);
    prop_oneof![
        2 => prop::sample::select(known).prop_map(str::to_owned),
        2 => prop::collection::vec(pieces, 0..14).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
        1 => "[ -~]{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_answer_that_says_something_is_the_same_as_itself(text in answer()) {
        for answering in [Answering::Math, Answering::Number, Answering::Text] {
            let form = canonical(&text, answering);
            prop_assert_eq!(same(&text, &text, answering), form.is_some());
            // Finding an answer in it harms nobody either.
            let _ = read(&text, answering);
        }
    }

    #[test]
    fn the_order_of_two_answers_does_not_matter(one in answer(), other in answer()) {
        for answering in [Answering::Math, Answering::Number, Answering::Text] {
            prop_assert_eq!(same(&one, &other, answering), same(&other, &one, answering));
        }
    }

    #[test]
    fn spaces_around_and_beside_signs_do_not_matter(case in prop::sample::select(cases(MATH)), spaces in 1..4_usize) {
        let space = " ".repeat(spaces);
        for text in [case.0, case.1].into_iter().filter(|text| !text.contains("\\text") && !text.contains("**")) {
            let form = canonical(text, Answering::Math);
            prop_assert_eq!(canonical(&format!("{space}{text}{space}"), Answering::Math), form.clone(), "{}", text);
            prop_assert_eq!(canonical(&text.replace(' ', &format!(" {space}")), Answering::Math), form.clone(), "{}", text);
            for sign in ["+", "=", "*", "^", "\\cdot", "\\cup", "\\le ", "\\pm"] {
                let wide = text.replace(sign, &format!("{space}{sign}{space}"));
                // The two halves of >= and <= are one sign.
                if !text.contains(">=") && !text.contains("<=") && !text.contains("\\left") {
                    prop_assert_eq!(canonical(&wide, Answering::Math), form.clone(), "{} {}", text, wide);
                }
            }
        }
    }
}

#[test]
fn deep_and_long_rubbish_ends_soon() {
    for piece in ["(", "{", "\\frac{", "-", "\\sqrt", "x^", "|", "\\text{", "[(", "1,", "\\{", "2!", "\\boxed{"] {
        let text = piece.repeat(1900 / piece.len());
        let _ = canonical(&text, Answering::Math);
        let _ = read(&text.repeat(50), Answering::Math);
    }
    assert_eq!(canonical(&"1".repeat(3000), Answering::Math), None);
    let tower = "(x+y)^12".repeat(20);
    assert!(same(&tower, &tower, Answering::Math));
}
