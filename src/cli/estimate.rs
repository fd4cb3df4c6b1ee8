//! What is still to be asked, and what it will cost, for people.

use super::output::{out, outln};
use super::table::{brief, number, table};
use crate::stages::{AnswerBasis, Forecast, PromptBasis, PromptCheck, dollars, total};

/// Prints the estimates of model stages, and what they were told by.
pub fn print(forecasts: &[Forecast]) {
    if forecasts.is_empty() {
        return;
    }
    outln!("\nStill to be asked");
    let rows = forecasts.iter().map(|forecast| {
        let known = |text: String| if forecast.calls.is_some() { text } else { String::new() };
        vec![
            forecast.stage.clone(),
            forecast.model.clone(),
            forecast.calls.map_or_else(|| "unknown".to_owned(), number),
            number(forecast.from_ledger),
            number(forecast.batched),
            known(number(forecast.prompt_tokens)),
            known(number(forecast.answer_tokens)),
            known(forecast.microdollars.map(dollars).unwrap_or_default()),
            known(forecast.seconds.map(time).unwrap_or_default()),
        ]
    });
    let head = [
        "stage",
        "model",
        "calls",
        "from ledger",
        "in batches",
        "prompt tokens",
        "answer tokens",
        "dollars",
        "at the limits",
    ];
    out!("{}", table(&head, rows));
    let all = total(forecasts);
    let least = if all.at_least { "at least " } else { "" };
    outln!(
        "in all {least}{} calls, {} tokens, {} dollars, {}",
        number(all.calls),
        number(all.tokens),
        dollars(all.microdollars),
        time(all.seconds)
    );
    for forecast in forecasts {
        outln!("{}: {}; {}", forecast.stage, prompts(forecast), answers(forecast));
    }
    if all.at_least {
        outln!("more rows may come: the stages before have not run to their end");
    }
}

/// What will go wrong with rows that are there.
pub fn warnings(checks: &[PromptCheck]) -> Vec<String> {
    let mut warnings = Vec::new();
    for check in checks {
        if let Some(error) = &check.render_error {
            let (failed, of) = (check.unrendered, check.sampled);
            warnings.push(format!(
                "{}: {failed} of {of} prompts cannot be rendered: {}",
                check.stage,
                brief(error, 300)
            ));
        }
        if check.too_long > 0 {
            warnings.push(format!(
                "{}: {} of {} prompts are longer, with their answers, than the model's context: the longest has about {} tokens",
                check.stage, check.too_long, check.sampled, check.longest
            ));
        }
    }
    warnings
}

fn prompts(forecast: &Forecast) -> String {
    match forecast.prompts {
        PromptBasis::Rows => format!("prompts by {} rows", forecast.sample.sampled),
        PromptBasis::StandIn => {
            format!("prompts by {} snippets, with a stand-in for the description", forecast.sample.sampled)
        }
        PromptBasis::None if forecast.calls.is_some() => "nothing to ask".to_owned(),
        PromptBasis::None => {
            "no row is there yet: run the stages before it, which ask no model, with --select".to_owned()
        }
    }
}

fn answers(forecast: &Forecast) -> String {
    match forecast.answers {
        AnswerBasis::Stage => format!("answers by {} of the stage", number(forecast.measured_calls)),
        AnswerBasis::Model => format!("answers by {} of the model in other stages", number(forecast.measured_calls)),
        AnswerBasis::Bound => "answers as long as they may be: none is there to go by".to_owned(),
    }
}

/// A time in its two largest units.
pub fn time(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn a_time_has_two_units() {
        let texts = [59.0, 61.0, 3661.0, 90_000.0].map(time);
        assert_eq!(texts, ["59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }
}
