//! Telling a licence: from its text, from a short name, from a trove classifier. The answer is an SPDX identifier
//! (<https://spdx.org/licenses/>).
//!
//! A text never tells whether "or any later version" was granted, so the GNU family is given as `-only`.

/// Whether a file of this name holds a licence.
pub(super) fn is_licence_file(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let (stem, ending) = name.split_once('.').unwrap_or((&name, ""));
    let named = ["LICENSE", "LICENCE", "COPYING", "UNLICENSE"].iter().any(|word| {
        stem.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', 'S']))
            || stem.strip_suffix(word).is_some_and(|rest| rest.ends_with(['-', '_']))
    });
    named && !matches!(ending, "PY" | "PYC" | "PYI" | "IPYNB" | "JSON" | "HTML" | "TOML" | "SPDX")
}

/// How much of a text is looked at, in bytes: the longest licence here, with room before it.
pub(super) const TEXT_BYTES: usize = 64 << 10;

/// The licence whose text this is.
pub(super) fn from_text(text: &str) -> Option<&'static str> {
    let text = plain(text);
    let has = |phrase: &str| text.contains(phrase);
    // These name one another in their bodies; the first title is the licence's own.
    if let Some(id) = titled(&text) {
        return Some(id);
    }
    if has("apache license version 2 0") {
        return Some("Apache-2.0");
    }
    if has("python software foundation license version 2") {
        return Some("PSF-2.0");
    }
    if has("this is free and unencumbered software released into the public domain") {
        return Some("Unlicense");
    }
    if has("permission is hereby granted free of charge to any person obtaining a copy") {
        let kept = has("permission notice shall be included") || has("permission notice appear");
        return Some(if kept { "MIT" } else { "MIT-0" });
    }
    if has("permission to use copy modify and or distribute this software for any purpose with or without fee")
        || has("permission to use copy modify and distribute this software for any purpose with or without fee")
    {
        return Some(if has("copyright notice and this permission notice appear") { "ISC" } else { "0BSD" });
    }
    if has("redistribution and use in source and binary forms") {
        return Some(if has("all advertising materials") {
            "BSD-4-Clause"
        } else if has("endorse or promote") {
            "BSD-3-Clause"
        } else {
            "BSD-2-Clause"
        });
    }
    if has("cc0 1 0 universal") {
        return Some("CC0-1.0");
    }
    if has("boost software license version 1 0") {
        return Some("BSL-1.0");
    }
    has("this software is provided as is without any express or implied warranty in no event will the authors")
        .then_some("Zlib")
}

/// Lower case, words parted by single blanks, nothing else.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len().min(TEXT_BYTES));
    for c in text.chars() {
        if plain.len() >= TEXT_BYTES {
            break;
        }
        if c.is_ascii_alphanumeric() {
            plain.push(c.to_ascii_lowercase());
        } else if !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    plain
}

fn titled(text: &str) -> Option<&'static str> {
    // A title stands at the top, with its version right after it.
    const TITLES: [(&str, &[(&str, &str)]); 4] = [
        ("mozilla public license", &[("2 0", "MPL-2.0")]),
        ("gnu affero general public license", &[("3", "AGPL-3.0-only")]),
        ("gnu lesser general public license", &[("3", "LGPL-3.0-only"), ("2 1", "LGPL-2.1-only")]),
        ("gnu general public license", &[("3", "GPL-3.0-only"), ("2", "GPL-2.0-only")]),
    ];
    let mut head = 600.min(text.len());
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    let found = TITLES.iter().filter_map(|(title, versions)| {
        let at = text[..head].find(title)?;
        let after = text[at + title.len()..].trim_start();
        let after = after.strip_prefix("version").or_else(|| after.strip_prefix('v'))?.trim_start();
        let version = versions.iter().find(|(version, _)| after.starts_with(version))?;
        Some((at, version.1))
    });
    found.min_by_key(|(at, _)| *at).map(|(_, id)| id)
}

/// The licence that the short name in a package's `License:` field stands for. A bare `BSD` or `GPL` stands for none.
pub(super) fn from_name(name: &str) -> Option<&'static str> {
    // `GPLv3+` grants later versions; a classifier says so more clearly.
    if name.contains('+') {
        return None;
    }
    let name = plain(name);
    let name = name.trim().trim_start_matches("the ").trim_end_matches(" license").trim_end_matches(" licence");
    Some(match name {
        "mit" | "expat" | "mit expat" => "MIT",
        "mit 0" => "MIT-0",
        "apache 2 0"
        | "apache 2"
        | "apache2"
        | "apache license 2 0"
        | "apache license version 2 0"
        | "apache software license 2 0"
        | "apache software license version 2 0"
        | "asl 2 0" => "Apache-2.0",
        "bsd 3 clause" | "3 clause bsd" | "new bsd" | "modified bsd" | "bsd 3" => "BSD-3-Clause",
        "bsd 2 clause" | "2 clause bsd" | "simplified bsd" | "bsd 2" => "BSD-2-Clause",
        "0bsd" => "0BSD",
        "isc" | "iscl" => "ISC",
        "mpl 2 0" | "mpl2" | "mpl 2" | "mozilla public license 2 0" | "mozilla public license 2 0 mpl 2 0" => "MPL-2.0",
        "psf" | "psf 2 0" | "python software foundation" => "PSF-2.0",
        "unlicense" | "public domain unlicense" => "Unlicense",
        "gpl 2 0" | "gpl 2 0 only" | "gplv2" | "gpl v2" => "GPL-2.0-only",
        "gpl 2 0 or later" => "GPL-2.0-or-later",
        "gpl 3 0" | "gpl 3 0 only" | "gplv3" | "gpl v3" => "GPL-3.0-only",
        "gpl 3 0 or later" => "GPL-3.0-or-later",
        "lgpl 2 1" | "lgpl 2 1 only" | "lgplv2 1" => "LGPL-2.1-only",
        "lgpl 2 1 or later" => "LGPL-2.1-or-later",
        "lgpl 3 0" | "lgpl 3 0 only" | "lgplv3" => "LGPL-3.0-only",
        "lgpl 3 0 or later" => "LGPL-3.0-or-later",
        "agpl 3 0" | "agpl 3 0 only" | "agplv3" => "AGPL-3.0-only",
        "agpl 3 0 or later" => "AGPL-3.0-or-later",
        "zlib" => "Zlib",
        "cc0 1 0" | "cc0" => "CC0-1.0",
        _ => return None,
    })
}

/// The licence that a `License :: ...` classifier stands for. `BSD License` does not say which.
pub(super) fn from_classifier(classifier: &str) -> Option<&'static str> {
    Some(match classifier.rsplit("::").next()?.trim() {
        "MIT License" => "MIT",
        "MIT No Attribution License (MIT-0)" => "MIT-0",
        "Apache Software License" => "Apache-2.0",
        "ISC License (ISCL)" => "ISC",
        "Mozilla Public License 2.0 (MPL 2.0)" => "MPL-2.0",
        "Python Software Foundation License" => "PSF-2.0",
        "The Unlicense (Unlicense)" => "Unlicense",
        "Zero-Clause BSD (0BSD)" => "0BSD",
        "zlib/libpng License" => "Zlib",
        "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication" => "CC0-1.0",
        "GNU General Public License v2 (GPLv2)" => "GPL-2.0-only",
        "GNU General Public License v2 or later (GPLv2+)" => "GPL-2.0-or-later",
        "GNU General Public License v3 (GPLv3)" => "GPL-3.0-only",
        "GNU General Public License v3 or later (GPLv3+)" => "GPL-3.0-or-later",
        "GNU Lesser General Public License v2 or later (LGPLv2+)" => "LGPL-2.0-or-later",
        "GNU Lesser General Public License v3 (LGPLv3)" => "LGPL-3.0-only",
        "GNU Lesser General Public License v3 or later (LGPLv3+)" => "LGPL-3.0-or-later",
        "GNU Affero General Public License v3" => "AGPL-3.0-only",
        "GNU Affero General Public License v3 or later (AGPLv3+)" => "AGPL-3.0-or-later",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_files_are_known_by_name() {
        for name in [
            "LICENSE",
            "LICENSE.txt",
            "licence.md",
            "COPYING.LESSER",
            "LICENSE-MIT",
            "MIT-LICENSE.txt",
            "UNLICENSE",
            "LICENSES",
        ] {
            assert!(is_licence_file(name), "{name}");
        }
        for name in ["license.py", "licensing.md", "test_license.py", "README", "license.json"] {
            assert!(!is_licence_file(name), "{name}");
        }
    }

    #[test]
    fn texts_are_told_apart_by_their_own_words() {
        let cases = [
            (
                "MIT",
                "Permission is hereby granted, free of charge, to any person obtaining a copy\nof this ... The above copyright notice and this\npermission notice shall be included in all",
            ),
            ("MIT-0", "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"),
            (
                "Apache-2.0",
                "                                 Apache License\n                           Version 2.0, January 2004",
            ),
            (
                "BSD-3-Clause",
                "Redistribution and use in source and binary forms, with or without ... to endorse or promote products",
            ),
            ("BSD-2-Clause", "Redistribution and use in source and binary forms, with or without modification"),
            (
                "ISC",
                "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided that the above copyright notice and this permission notice appear in all copies.",
            ),
            (
                "0BSD",
                "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted.",
            ),
            (
                "MPL-2.0",
                "Mozilla Public License Version 2.0\n=====\n ... GNU General Public License, Version 2.0, the GNU Lesser",
            ),
            ("PSF-2.0", "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2\n-----"),
            ("Unlicense", "This is free and unencumbered software released into the public domain."),
            (
                "GPL-3.0-only",
                "GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007 ... use the GNU Lesser General Public License instead",
            ),
            ("GPL-2.0-only", "GNU GENERAL PUBLIC LICENSE\n Version 2, June 1991"),
            ("LGPL-2.1-only", "GNU LESSER GENERAL PUBLIC LICENSE\n Version 2.1, February 1999"),
            (
                "LGPL-3.0-only",
                "GNU LESSER GENERAL PUBLIC LICENSE Version 3 ... incorporates version 3 of the GNU General Public License",
            ),
            (
                "AGPL-3.0-only",
                "GNU AFFERO GENERAL PUBLIC LICENSE Version 3, 19 November 2007 ... GNU General Public License",
            ),
        ];
        for (id, text) in cases {
            assert_eq!(from_text(text), Some(id), "{text}");
        }
        assert_eq!(from_text("All rights reserved."), None);
        assert_eq!(from_text(&"é".repeat(70_000)), None);
    }

    #[test]
    fn names_and_classifiers_stand_for_a_licence_only_where_they_say_which() {
        assert_eq!(from_name("The MIT License"), Some("MIT"));
        assert_eq!(from_name("Apache License, Version 2.0"), Some("Apache-2.0"));
        assert_eq!(from_name("BSD-3-Clause"), Some("BSD-3-Clause"));
        assert_eq!(from_name("BSD"), None);
        assert_eq!(from_name("GPLv3+"), None);
        assert_eq!(from_classifier("License :: OSI Approved :: MIT License"), Some("MIT"));
        assert_eq!(from_classifier("License :: OSI Approved :: BSD License"), None);
    }
}
