//! Words about code: what a name says, what a docstring's first sentence says, as part of an instruction.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Verbs that begin names and docstrings, as they stand in an instruction.
static VERBS: LazyLock<HashSet<&str>> = LazyLock::new(|| VERB_LIST.split_whitespace().collect());

const VERB_LIST: &str = "
accept acquire add adjust aggregate align allocate allow append apply archive assemble assert
assign attach authenticate authorize begin bind blend block borrow buffer build bump bundle
cache calculate call cancel capture cast center chain change check choose clamp clean clear clip
clone close collapse collect combine commit compare compile compute configure confirm connect
construct consume contain convert copy count create crop cut decide decode decompress decorate
decrement define delete deliver deploy derive describe deserialize detach detect determine
disable discard disconnect dispatch display divide do double download draw drop dump edit eject
emit emulate enable encode end ensure enter enumerate erase escape estimate evaluate exclude
execute exit expand explode export extend extract fail fetch fill filter finalize find finish
fit fix flatten flip flush follow force format forward free gather generate get give grant group
grow guard guess handle hash hide highlight hold hook identify ignore implement import include
increment index indicate infer init initialize inject insert inspect install instantiate
interpret intersect invert invoke issue iterate join keep label launch lift limit link list
listen load locate lock log look loop lower make manage map mark match maximize measure merge
migrate minimize mock modify monitor move multiply narrow negate nest normalize notify observe
obtain offer open optimize order output override pack pad parse partition pass paste patch pause
perform permute persist pick plot poll pop populate post predict prefix prepare prepend present
preserve print probe process produce project promote propagate protect provide prune publish
pull push put query quote raise rank rate read realign rebuild receive reconnect record recover
redirect reduce refresh register reject release reload remove rename render reorder repeat
replace reply report represent request require rescale reserve reset resize resolve restart
restock restore restrict resume retrieve retry return reverse rewrite rotate round route run
sample sanitize save scale scan schedule search seek select send separate serialize serve set
setup shift ship shorten show shrink shuffle shut sign simplify simulate skip slice smooth solve
sort spawn specify splice split squash stack start stop store stream strip submit subscribe
substitute subtract sum summarize support suppress suspend swap switch sync tag take tally tell
terminate test throw time toggle tokenize touch trace track train transfer transform translate
transpose traverse trigger trim truncate try turn undo unescape unify uninstall unlock unpack
unquote unregister unwrap update upgrade upload use validate vary verify visit vote wait walk
warn watch weigh widen wipe withdraw wrap write yield zip
";

/// Words whose last sign is no sentence's end.
const ABBREVIATIONS: &[&str] = &["e.g.", "i.e.", "etc.", "vs.", "cf.", "resp.", "approx."];

/// The words of a name, in lower case.
pub(super) fn words_of(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            last_lower = false;
            if words.last().is_some_and(|word| !word.is_empty()) {
                words.push(String::new());
            }
            continue;
        }
        if words.is_empty() || c.is_uppercase() && last_lower {
            words.push(String::new());
        }
        last_lower = c.is_lowercase();
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `verb` in the third person, if it is one or already stands so.
pub(super) fn third_person(word: &str) -> Option<String> {
    let word = word.to_lowercase();
    if VERBS.contains(word.as_str()) {
        return Some(inflected(&word));
    }
    let stem = word.strip_suffix('s')?;
    let stems = [stem.to_owned(), stem.trim_end_matches('e').to_owned(), format!("{}y", stem.trim_end_matches("ie"))];
    stems.iter().any(|stem| VERBS.contains(stem.as_str()) && inflected(stem) == word).then_some(word)
}

fn inflected(verb: &str) -> String {
    match verb.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if verb.ends_with(['s', 'x', 'z', 'o']) => format!("{verb}es"),
        _ if verb.ends_with("ch") || verb.ends_with("sh") => format!("{verb}es"),
        _ => format!("{verb}s"),
    }
}

/// The first sentence of a docstring on one line, with its full stop; empty if there is none.
pub(super) fn first_sentence(docstring: &str) -> String {
    sentences(docstring).into_iter().next().unwrap_or_default()
}

/// The sentences of a docstring's opening paragraphs, each on one line, at most 240 bytes long. Fields, examples and
/// section heads end it.
pub(super) fn sentences(docstring: &str) -> Vec<String> {
    let mut found = Vec::new();
    for paragraph in docstring.trim().split("\n\n") {
        let mut sentence = String::new();
        let mut ended = false;
        for line in paragraph.lines().map(str::trim) {
            let head = line.starts_with([':', '@', '>', '-', '=', '*', '.', '+', '|'])
                || line.ends_with(':') && line.split_whitespace().count() <= 2;
            if head {
                ended = true;
                break;
            }
            for word in line.split_whitespace() {
                if !sentence.is_empty() {
                    sentence.push(' ');
                }
                sentence.push_str(&plain(word));
                let stop = word.ends_with(['.', '!', '?']) && !ABBREVIATIONS.contains(&word.trim_start_matches('('));
                if stop {
                    found.push(std::mem::take(&mut sentence));
                }
            }
        }
        if !sentence.is_empty() {
            sentence.push('.');
            found.push(sentence);
        }
        if ended || found.len() >= 4 {
            break;
        }
    }
    found.retain(|sentence| sentence.len() <= 240 && sentence.len() > 3);
    found
}

/// A word without reStructuredText's markup: ":class:`x`" and "``x``" become "`x`".
fn plain(word: &str) -> String {
    let role = word.find(":`").filter(|_| word.trim_start_matches('(').starts_with(':'));
    let unmarked = role.map_or(word, |at| &word[at + 1..]);
    unmarked.replace("``", "`")
}

/// What something does, as the end of "a function that ...", from its first sentence or else its name. `None` if the
/// sentence does not begin with a verb.
pub(super) fn purpose(sentence: &str) -> Option<String> {
    let sentence = sentence.trim_end_matches(['.', '!', ' ']);
    let (first, rest) = sentence.split_once(' ').unwrap_or((sentence, ""));
    let verb = third_person(first)?;
    Some(if rest.is_empty() { verb } else { format!("{verb} {rest}") })
}

/// What a function of this name does, as far as a name tells.
pub(super) fn purpose_of_name(name: &str) -> String {
    if let Some((_, text)) = SPECIAL.iter().find(|(special, _)| *special == name) {
        return (*text).to_owned();
    }
    let words = words_of(name);
    let rest = |from: usize| words.get(from..).unwrap_or_default().join(" ");
    match words.first().map(String::as_str) {
        Some("is" | "are") if words.len() > 1 => format!("tells whether it is {}", rest(1)),
        Some("has" | "have") if words.len() > 1 => format!("tells whether there is {}", rest(1)),
        Some("can" | "should" | "must") if words.len() > 1 => {
            format!("tells whether it {}", words.join(" "))
        }
        Some("to" | "as" | "into") if words.len() > 1 => {
            format!("converts its input to {}", rest(1))
        }
        Some("from") if words.len() > 1 => format!("makes an object from {}", rest(1)),
        Some("on") if words.len() > 1 => format!("reacts to {}", rest(1)),
        Some("test") if words.len() > 1 => format!("tests {}", rest(1)),
        Some("main") if words.len() == 1 => "runs the program".to_owned(),
        Some(first) => match third_person(first) {
            Some(verb) if words.len() > 1 => format!("{verb} {}", rest(1)),
            Some(verb) => format!("{verb} what it is given"),
            None => format!("gives the {}", words.join(" ")),
        },
        None => "does what its body says".to_owned(),
    }
}

const SPECIAL: &[(&str, &str)] = &[
    ("__init__", "sets up a new instance"),
    ("__new__", "creates the instance"),
    ("__repr__", "gives a printable form of the object"),
    ("__str__", "gives a readable text for the object"),
    ("__eq__", "compares two objects for equality"),
    ("__ne__", "tells whether two objects differ"),
    ("__lt__", "tells whether this object orders before another"),
    ("__hash__", "gives a hash that fits equality"),
    ("__len__", "gives the number of elements"),
    ("__iter__", "iterates over the elements"),
    ("__next__", "gives the next element"),
    ("__getitem__", "gives the element for a key"),
    ("__setitem__", "sets the element for a key"),
    ("__delitem__", "deletes the element for a key"),
    ("__contains__", "tells whether an element is there"),
    ("__call__", "makes the object callable"),
    ("__enter__", "enters the context"),
    ("__exit__", "leaves the context and cleans up"),
    ("__getattr__", "resolves attributes that are not set"),
    ("__setattr__", "controls how attributes are set"),
    ("__bool__", "gives the truth value"),
    ("__add__", "adds another value"),
    ("__sub__", "subtracts another value"),
    ("__mul__", "multiplies by another value"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_words() {
        assert_eq!(words_of("parse_HTTPHeader2"), ["parse", "httpheader2"]);
        assert_eq!(words_of("__getItem__"), ["get", "item"]);
        assert!(words_of("_").is_empty());
    }

    #[test]
    fn verbs_take_the_third_person() {
        for (word, expected) in [
            ("Return", "returns"),
            ("Returns", "returns"),
            ("copy", "copies"),
            ("Applies", "applies"),
            ("match", "matches"),
            ("fixes", "fixes"),
            ("do", "does"),
            ("Play", ""),
            ("display", "displays"),
            ("Process", "processes"),
            ("Frobs", ""),
            ("uses", "uses"),
        ] {
            assert_eq!(third_person(word).unwrap_or_default(), expected, "{word}");
        }
    }

    #[test]
    fn sentences_end_at_stops_but_not_at_abbreviations_fields_or_heads() {
        let doc = "Return the name, e.g. a path,\n    or v1.2 of it. Never fails!\n\n    :param x: the thing.\n";
        assert_eq!(sentences(doc), ["Return the name, e.g. a path, or v1.2 of it.", "Never fails!"]);
        assert_eq!(sentences("Do it\n\nArgs:\n  x: a."), ["Do it."]);
        assert!(sentences("").is_empty());
        assert_eq!(sentences("See a :class:`Pool` or ``x``."), ["See a `Pool` or `x`."]);
    }

    #[test]
    fn purposes_come_from_sentences_or_names() {
        assert_eq!(purpose("Parse the line.").as_deref(), Some("parses the line"));
        assert_eq!(purpose("The default handler."), None);
        assert_eq!(purpose_of_name("is_empty"), "tells whether it is empty");
        assert_eq!(purpose_of_name("to_json"), "converts its input to json");
        assert_eq!(purpose_of_name("load_config"), "loads config");
        assert_eq!(purpose_of_name("radius"), "gives the radius");
        assert_eq!(purpose_of_name("__len__"), "gives the number of elements");
    }
}
