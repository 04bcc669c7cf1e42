//! The repository as text: its tracked files, and the string literals of its Rust, so that architecture and SQL can be judged.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file that is or would be in the repository, relative to its root.
///
/// # Panics
/// Outside a git repository.
#[must_use]
pub fn tracked() -> Vec<PathBuf> {
    let git = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let git = git.expect("git is needed to tell the project's files from others");
    assert!(git.status.success(), "git ls-files: {}", String::from_utf8_lossy(&git.stderr));
    let files = String::from_utf8(git.stdout).unwrap();
    // A file that was renamed and not yet committed stands in the index only.
    files.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect()
}

/// The tracked Rust files below a folder that are part of the product, relative to the root, with their texts.
#[must_use]
pub fn rust(folder: &str) -> Vec<(PathBuf, String)> {
    let is_test = |path: &Path| {
        path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs" | "testing.rs")))
    };
    let files = tracked()
        .into_iter()
        .filter(|path| path.starts_with(folder) && path.extension().is_some_and(|e| e == "rs") && !is_test(path));
    files.map(|path| (path.clone(), std::fs::read_to_string(root().join(path)).unwrap())).collect()
}

/// A string literal of a Rust file, as the program sees it.
#[derive(Clone, Debug)]
pub struct Literal {
    /// Where it stands.
    pub file: PathBuf,
    /// Its text: `concat!` put together, named constants put in, `{{` still doubled.
    pub text: String,
}

/// All string literals of the product's Rust below a folder, those of `#[cfg(test)]` items apart.
#[must_use]
pub fn literals(folder: &str) -> Vec<Literal> {
    let files: Vec<_> = rust(folder).into_iter().map(|(path, text)| (path, without_tests(tokens(&text)))).collect();
    let macros: BTreeMap<String, String> = files.iter().flat_map(|(_, tokens)| texts_of_macros(tokens)).collect();
    let mut found = vec![];
    for (file, tokens) in files {
        let tokens = concatenated(tokens, &macros);
        let constants = constants(&tokens);
        let named = |text: String| {
            constants.iter().fold(text, |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
        };
        let texts =
            tokens.into_iter().filter_map(|token| if let Token::Text(text) = token { Some(named(text)) } else { None });
        found.extend(texts.map(|text| Literal { file: file.clone(), text }));
    }
    found
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Text(String),
    Word(String),
    Mark(char),
}

/// As much of Rust's grammar as it takes to tell texts from everything else.
fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = vec![];
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (token, left) = if rest.starts_with("//") {
            (None, rest.split_once('\n').map_or("", |(_, left)| left))
        } else if rest.starts_with("/*") {
            (None, rest.split_once("*/").map_or("", |(_, left)| left))
        } else if let Some((text, left)) = raw(rest) {
            (Some(Token::Text(text)), left)
        } else if first == '"' {
            let (text, left) = quoted(&rest[1..]);
            (Some(Token::Text(text)), left)
        } else if first == '\'' {
            (None, after_character(rest))
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            (Some(Token::Word(rest[..end].to_owned())), &rest[end..])
        } else {
            ((!first.is_whitespace()).then_some(Token::Mark(first)), &rest[first.len_utf8()..])
        };
        tokens.extend(token);
        rest = left;
    }
    tokens
}

/// `r"…"` or `r#"…"#`.
fn raw(source: &str) -> Option<(String, &str)> {
    let opened = source.strip_prefix("br").or_else(|| source.strip_prefix('r'))?;
    let hashes = opened.len() - opened.trim_start_matches('#').len();
    let body = opened[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    body.split_once(&end).map(|(text, left)| (text.to_owned(), left))
}

fn quoted(body: &str) -> (String, &str) {
    let mut text = String::new();
    let mut rest = body;
    loop {
        let c = rest.chars().next().expect("a literal ends");
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => return (text, rest),
            '\\' => {
                let escaped = rest.chars().next().expect("an escape is followed");
                rest = &rest[escaped.len_utf8()..];
                match escaped {
                    '\n' => rest = rest.trim_start(),
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    '0' => text.push('\0'),
                    // Which character it is never matters here.
                    'u' => rest = rest.split_once('}').map_or("", |(_, left)| left),
                    'x' => rest = &rest[2..],
                    other => text.push(other),
                }
            }
            other => text.push(other),
        }
    }
}

/// A character, or a lifetime, which has no end.
fn after_character(rest: &str) -> &str {
    let body = &rest[1..];
    if let Some(escaped) = body.strip_prefix('\\') {
        return escaped.get(1..).and_then(|left| left.split_once('\'')).map_or("", |(_, left)| left);
    }
    let one = body.chars().next().map_or(0, char::len_utf8);
    body[one..].strip_prefix('\'').unwrap_or(body)
}

fn word(token: Option<&Token>, text: &str) -> bool {
    matches!(token, Some(Token::Word(word)) if word == text)
}

fn mark(token: Option<&Token>, c: char) -> bool {
    token == Some(&Token::Mark(c))
}

/// Drops every item behind `#[cfg(test)]`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mut kept = vec![];
    let mut i = 0;
    while i < tokens.len() {
        let here = &tokens[i..];
        let is_test =
            mark(here.first(), '#') && word(here.get(2), "cfg") && mark(here.get(3), '(') && word(here.get(4), "test");
        if is_test {
            i += 7;
            while !mark(tokens.get(i), ';') && !mark(tokens.get(i), '{') {
                i += 1;
            }
            i = if mark(tokens.get(i), '{') { closing(&tokens, i) + 1 } else { i + 1 };
        } else {
            kept.push(tokens[i].clone());
            i += 1;
        }
    }
    kept
}

/// Where the bracket that opens at `open` closes.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Mark('(' | '{' | '[') => depth += 1,
            Token::Mark(')' | '}' | ']') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i;
        }
    }
    tokens.len()
}

/// `macro_rules! entry { () => { "…" }; }`: what `entry!()` stands for.
fn texts_of_macros(tokens: &[Token]) -> Vec<(String, String)> {
    let starts = (0..tokens.len()).filter(|i| word(tokens.get(*i), "macro_rules"));
    let texts = starts.filter_map(|i| match tokens.get(i + 2..i + 10)? {
        [Token::Word(name), _, Token::Mark('('), Token::Mark(')'), _, _, _, Token::Text(text)] => {
            Some((name.clone(), text.clone()))
        }
        _ => None,
    });
    texts.collect()
}

/// `const NAME: &str = "…"`.
fn constants(tokens: &[Token]) -> Vec<(String, String)> {
    let texts = tokens.windows(8).filter_map(|seven| match seven {
        [
            Token::Word(is),
            Token::Word(name),
            Token::Mark(':'),
            Token::Mark('&'),
            Token::Word(_),
            Token::Mark('='),
            Token::Text(text),
            _,
        ] if is == "const" => Some((name.clone(), text.clone())),
        _ => None,
    });
    texts.collect()
}

/// Puts every `concat!(…)` of texts and text macros together.
fn concatenated(tokens: Vec<Token>, macros: &BTreeMap<String, String>) -> Vec<Token> {
    let mut joined = vec![];
    let mut i = 0;
    while i < tokens.len() {
        if word(tokens.get(i), "concat") && mark(tokens.get(i + 1), '!') {
            let end = closing(&tokens, i + 2);
            let part = |token: &Token| match token {
                Token::Text(text) => Some(text.clone()),
                Token::Word(name) => macros.get(name).cloned(),
                Token::Mark(_) => None,
            };
            joined.push(Token::Text(tokens[i + 2..end].iter().filter_map(part).collect()));
            i = end + 1;
        } else {
            joined.push(tokens[i].clone());
            i += 1;
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        let tokens = without_tests(tokens(source));
        let macros = texts_of_macros(&tokens).into_iter().collect();
        let texts = concatenated(tokens, &macros).into_iter();
        texts.filter_map(|token| if let Token::Text(text) = token { Some(text) } else { None }).collect()
    }

    #[test]
    fn texts_are_found_and_nothing_else() {
        let source = r##"
            // "a comment" /* and
            fn f<'a>(x: &'a str) -> char { '"' }   /* "another" */
            const A: &str = "one \
                             line \"quoted\""; let c = '\''; let r = r#"raw "text""#;
            macro_rules! columns { () => { "a, b" }; }
            let s = concat!("SELECT ", columns!(), " FROM t");
            #[cfg(test)] mod tests { const HIDDEN: &str = "{"; }
            #[cfg(test)] mod more;
            let last = "end";
        "##;
        assert_eq!(texts(source), ["one line \"quoted\"", "raw \"text\"", "a, b", "SELECT a, b FROM t", "end"]);
    }
}
