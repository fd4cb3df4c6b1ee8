#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::python::{code_from_answer, syntax_fault};

const SOURCE: &str = include_str!("../../fixtures/python/graphs.py");

fn simulator(settings: Settings) -> Simulator {
    let sources = [("graphs.py".to_owned(), SOURCE.to_owned())];
    Simulator::new(Index::from_sources(sources.into_iter()), settings).unwrap()
}

fn ask(simulator: &Simulator, body: &serde_json::Value) -> Result<Arc<Answer>, AnswerError> {
    let text = body.to_string();
    simulator.answer(&serde_json::from_str::<ChatRequest<'_>>(&text).unwrap())
}

fn say(simulator: &Simulator, model: &str, prompt: &str, seed: i64) -> String {
    let body = json!({"model": model, "messages": [{"role": "user", "content": prompt}], "seed": seed});
    let answer = ask(simulator, &body).unwrap();
    answer.completion.choices[0].message.content.clone()
}

const CODE: &str = "def has_cycle(graph):\n    try:\n        topological_order(graph)\n    except ValueError:\n        \
                    return True\n    return False";

fn describe(simulator: &Simulator, seed: i64) -> String {
    say(simulator, "simulated-describer", &format!("Describe.\n```python\n{CODE}\n```"), seed)
}

#[test]
fn a_description_leads_the_strong_model_to_the_code_and_the_weak_one_near_it() {
    let simulator = simulator(Settings { strong_bug_share: 0.0, weak_bug_share: 1.0, ..Settings::default() });
    for seed in 0..20 {
        let description = describe(&simulator, seed);
        assert!(description.contains("`has_cycle(graph)`"), "{description}");
        let prompt = format!("Write code.\n\n{description}");
        let strong = code_from_answer(&say(&simulator, "simulated-strong", &prompt, seed)).code;
        let weak = code_from_answer(&say(&simulator, "simulated-weak", &prompt, seed)).code;
        assert!(strong.contains("except ValueError:") && strong.starts_with("def has_cycle(graph):"), "{strong}");
        assert_eq!(syntax_fault(&mut Parser::new(), &strong), None);
        assert_ne!(strong, weak);
    }
    assert_eq!(simulator.stats().unknown, 0);
}

#[test]
fn the_same_request_gets_the_same_answer_in_any_order_cached_or_not() {
    let small = Settings { cached_answers: 2, ..Settings::default() };
    let (one, other) = (simulator(Settings::default()), simulator(small));
    let description = describe(&one, 0);
    let all: Vec<(&str, i64)> =
        (0..15).flat_map(|seed| [("simulated-strong", seed), ("simulated-weak", seed)]).collect();
    let forward: Vec<String> = all.iter().map(|(model, seed)| say(&one, model, &description, *seed)).collect();
    let mut backward: Vec<String> =
        all.iter().rev().map(|(model, seed)| say(&other, model, &description, *seed)).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    let again: Vec<String> = all.iter().map(|(model, seed)| say(&one, model, &description, *seed)).collect();
    assert_eq!(forward, again);
}

#[test]
fn seeds_positions_and_models_give_other_samples_but_at_temperature_0_seeds_do_not() {
    let simulator = simulator(Settings::default());
    let prompt = describe(&simulator, 0);
    let weak: std::collections::BTreeSet<String> =
        (0..20).map(|seed| say(&simulator, "simulated-weak", &prompt, seed)).collect();
    assert!(weak.len() > 10, "{}", weak.len());
    let body = |seed: i64, temperature: f64, model: &str| {
        json!({"model": model, "messages": [{"role": "user", "content": prompt}], "n": 8, "seed": seed,
               "temperature": temperature})
    };
    let contents = |seed, temperature, model| -> Vec<String> {
        let answer = ask(&simulator, &body(seed, temperature, model)).unwrap();
        answer.completion.choices.iter().map(|choice| choice.message.content.clone()).collect()
    };
    let eight = contents(1, 0.0, "simulated-weak");
    assert_eq!(eight, contents(2, 0.0, "simulated-weak"));
    assert!(eight.iter().collect::<std::collections::BTreeSet<_>>().len() > 4);
    assert_ne!(eight, contents(1, 0.7, "simulated-weak"));
    assert_ne!(eight, contents(1, 0.0, "simulated-weak-1b"));
}

#[test]
fn usage_counts_tokens_and_a_token_limit_cuts_the_answer() {
    let simulator = simulator(Settings::default());
    let prompt = describe(&simulator, 0);
    let body =
        json!({"model": "simulated-strong", "messages": [{"role": "user", "content": prompt}], "max_tokens": 12});
    let answer = ask(&simulator, &body).unwrap();
    let choice = &answer.completion.choices[0];
    assert_eq!(choice.finish_reason, FinishReason::Length);
    assert!((10..=12).contains(&token_estimate(&choice.message.content)));
    let usage = answer.completion.usage;
    assert_eq!(usage.prompt_tokens, token_estimate(&prompt) + TOKENS_PER_MESSAGE);
    assert_eq!(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    assert_eq!(answer.completion.system_fingerprint, "simulator");
}

#[test]
fn faults_of_the_answer_have_their_form() {
    for (kind, test) in [
        (FaultKind::Empty, (|content: &str| content.is_empty()) as fn(&str) -> bool),
        (FaultKind::Prose, |content| code_from_answer(content).code.is_empty()),
        (FaultKind::Several, |content| {
            let found = code_from_answer(content);
            found.blocks == 3 && found.code.contains("has_cycle")
        }),
        (FaultKind::Truncated, |content| content.len() > 20 && !content.trim_end().ends_with("```\n")),
    ] {
        let plain = describe(&simulator(Settings::default()), 0);
        let faulty = simulator(Settings { faults: [(kind, 1.0)].into(), ..Settings::default() });
        let body = json!({"model": "simulated-strong", "messages": [{"role": "user", "content": plain}]});
        let answer = ask(&faulty, &body).unwrap();
        assert_eq!(answer.fault, Some(kind));
        assert!(test(&answer.completion.choices[0].message.content), "{kind:?}");
        let cut = answer.completion.choices[0].finish_reason == FinishReason::Length;
        assert_eq!(cut, kind == FaultKind::Truncated);
    }
}

#[test]
fn unknown_code_is_described_and_an_unknown_description_gets_a_stub() {
    let simulator = simulator(Settings::default());
    let text = say(&simulator, "simulated-describer", "```python\ndef new_one(a):\n    return [a]\n```", 0);
    assert!(text.contains("`new_one(a)`"), "{text}");
    let body = json!({"model": "simulated-weak", "messages": [{"role": "user", "content": text}]});
    let answer = ask(&simulator, &body).unwrap();
    assert!(!answer.known);
    assert!(answer.completion.choices[0].message.content.contains("def new_one(a):"));
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let simulator = simulator(Settings::default());
    let message = json!([{"role": "user", "content": "x"}]);
    let refused = |body| ask(&simulator, &body).unwrap_err();
    assert!(matches!(refused(json!({"model": "gpt-4", "messages": message})), AnswerError::UnknownModel { .. }));
    assert_eq!(refused(json!({"model": "weak", "messages": []})), AnswerError::NoMessages);
    assert_eq!(refused(json!({"model": "weak", "messages": message, "n": 0})), AnswerError::Count { n: 0 });
}

#[test]
fn prepared_answers_are_those_that_come_without_preparation() {
    let (plain, prepared) = (simulator(Settings::default()), simulator(Settings::default()));
    let units = [Unit::Function, Unit::Method];
    for model in ["simulated-describer", "simulated-strong", "simulated-weak"] {
        prepared.prepare(model, &units, None, Some(3));
    }
    let description = describe(&plain, 3);
    assert_eq!(describe(&prepared, 3), description);
    for model in ["simulated-strong", "simulated-weak"] {
        assert_eq!(say(&prepared, model, &description, 3), say(&plain, model, &description, 3));
    }
}

#[test]
fn word_problems_are_solved_by_answering_models_and_the_seed_tells_samples_apart() {
    let simulator = simulator(Settings { strong_right_share: 1.0, weak_right_share: 0.0, ..Settings::default() });
    let prompt = "Solve it.\n\nIda has 4 eggs. Ida buys 6 eggs. Only one in 5 of the eggs is kept. How many eggs does Ida \
                  have now?\n\nEnd with #### and the number.";
    let answers = |model: &str| (0..20).map(|seed| say(&simulator, model, prompt, seed)).collect::<Vec<_>>();
    let strong = answers("simulated-strong");
    assert!(strong.iter().all(|answer| answer.ends_with("#### 2")), "{strong:?}");
    assert!(strong.iter().any(|answer| *answer != strong[0]));
    assert!(answers("simulated-weak").iter().all(|answer| !answer.ends_with("#### 2")));
    assert_eq!(simulator.stats().unknown, 0);
}

/// Shares of A and of tie in verdicts on a strong and a weak answer; with `swapped`, the weak one is shown first.
fn verdicts(settings: Settings, swapped: bool) -> (f64, f64) {
    let simulator = simulator(Settings { strong_bug_share: 0.0, weak_bug_share: 1.0, ..settings });
    let description = describe(&simulator, 1);
    let answer = |model: &str| say(&simulator, model, &description, 1);
    let (strong, weak) = (answer("simulated-strong"), answer("simulated-weak"));
    let (first, second) = if swapped { (weak, strong) } else { (strong, weak) };
    let prompt = format!("Which is better?\n\n{description}\n\nAnswer A:\n{first}\n\nAnswer B:\n{second}");
    let found: Vec<String> = (0..400).map(|seed| say(&simulator, "simulated-judge", &prompt, seed)).collect();
    let share = |end: &str| found.iter().filter(|text| text.ends_with(end)).count() as f64 / 400.0;
    assert!((share(": A") + share(": B") + share(": tie") - 1.0).abs() < 1e-9);
    (share(": A"), share(": tie"))
}

#[test]
fn a_judge_is_right_ties_and_leans_to_the_first_answer_as_often_as_set() {
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 0.07, "{found} for {expected}");
    let fair = Settings { judge_first_share: 0.0, judge_tie_share: 0.1, judge_right_share: 0.8, ..Settings::default() };
    let (first, ties) = verdicts(fair.clone(), false);
    near(first, 0.9 * 0.8);
    near(ties, 0.1);
    near(verdicts(fair.clone(), true).0, 0.9 * 0.2);
    let leaning = Settings { judge_first_share: 0.5, ..fair };
    near(verdicts(leaning.clone(), false).0, 0.5 + 0.5 * 0.9 * 0.8);
    near(verdicts(leaning, true).0, 0.5 + 0.5 * 0.9 * 0.2);
}
