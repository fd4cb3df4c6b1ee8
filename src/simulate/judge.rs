//! Verdicts on two answers: for the one that is nearer to the code of the corpus, as often as the simulator is told.

use super::dice::Dice;
use super::settings::Settings;

/// The first two code blocks of a text.
pub(super) fn two_blocks(text: &str) -> Option<(String, String)> {
    let mut blocks: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match (line.trim_start().starts_with("```"), open) {
            (true, _) => {
                open = !open;
                if open {
                    blocks.push(String::new());
                }
            }
            (false, true) => {
                if let Some(block) = blocks.last_mut() {
                    block.push_str(line);
                    block.push('\n');
                }
            }
            (false, false) => {}
        }
    }
    let mut blocks = blocks.into_iter();
    blocks.next().zip(blocks.next())
}

/// A verdict in words; `original` is the code that both answers are after. Without it, or with answers equally near to it,
/// they tie.
pub(super) fn verdict(question: &str, original: Option<&str>, settings: &Settings, dice: &mut Dice) -> String {
    let near = |block: &str| original.map_or(0.0, |original| strsim::sorensen_dice(block.trim(), original.trim()));
    let (first, second) = two_blocks(question).map_or((0.0, 0.0), |(a, b)| (near(&a), near(&b)));
    let (name, reason) = if dice.chance(settings.judge_first_share) {
        ("A", "The first answer comes first.")
    } else if dice.chance(settings.judge_tie_share) || (first - second).abs() < f64::EPSILON {
        ("tie", "Both answers are alike in what matters.")
    } else if (first > second) == dice.chance(settings.judge_right_share) {
        ("A", "The first answer does what is asked.")
    } else {
        ("B", "The second answer does what is asked.")
    };
    format!("{reason}\nVerdict: {name}")
}
