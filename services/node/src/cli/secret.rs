//! A token on its way to a command: from a file, from standard input, from the environment; or from the command line, where
//! everybody on the machine could read it as long as the command runs. So a process that finds one there begins anew without it.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::Command,
    sync::OnceLock,
};

use qianshou_kernel::error::{Error, Reason, Result};

/// The variable that holds a token: only the process's own user reads it.
pub(super) const TOKEN: &str = "QIANSHOU_TOKEN";
/// A token is 47 characters; more than this is none.
const MOST_BYTES: u64 = 4_096;

/// The token that is meant: itself, `@FILE`, `-` for standard input, or a file that was named.
pub(super) fn read(token: Option<&str>, file: Option<&Path>) -> Result<Option<String>> {
    match (token, file) {
        (Some("-"), _) => of_standard_input().map(Some),
        (Some(token), _) => match token.strip_prefix('@') {
            Some(file) => of_file(Path::new(file)).map(Some),
            None => Ok(Some(token.to_owned())),
        },
        (None, Some(file)) => of_file(file).map(Some),
        (None, None) => Ok(None),
    }
}

/// It can be read once, and a command may ask twice.
fn of_standard_input() -> Result<String> {
    static READ: OnceLock<String> = OnceLock::new();
    if let Some(read) = READ.get() {
        return Ok(read.clone());
    }
    let read = first_line(std::io::stdin().lock())?;
    Ok(READ.get_or_init(|| read).clone())
}

fn of_file(file: &Path) -> Result<String> {
    let missing = |cause| Error::refused("--token", Reason::NotFound, format!("{}: {cause}", file.display()));
    first_line(BufReader::new(File::open(file).map_err(missing)?))
}

fn first_line(from: impl BufRead) -> Result<String> {
    let mut line = String::new();
    from.take(MOST_BYTES).read_line(&mut line)?;
    match line.trim() {
        "" => Err(Error::refused("--token", Reason::Required, "")),
        token => Ok(token.to_owned()),
    }
}

/// Begins this process anew with a token that stands on the command line in its environment instead. What it was begun with can
/// be read for a moment; `@FILE` and `-` leave no such moment.
pub(super) fn hide() {
    let Some((arguments, token)) = without_token(std::env::args_os()) else { return };
    let begun = std::env::current_exe().map(|program| {
        let mut command = Command::new(program);
        if let Some(name) = arguments.first() {
            command.arg0(name);
        }
        command.args(arguments.iter().skip(1)).env(TOKEN, token).exec()
    });
    // Reached only where it could not begin.
    let (Ok(cause) | Err(cause)) = begun;
    eprintln!(
        "qianshou: --token 会被本机其他用户看到，请改用 --token @FILE | others on this machine can read --token; use --token @FILE ({cause})"
    );
}

/// The arguments without `--token SECRET`, and the last secret; `None`: there is none that has to be hidden.
fn without_token(arguments: impl Iterator<Item = OsString>) -> Option<(Vec<OsString>, OsString)> {
    let hidden = |token: &OsString| {
        let bytes = token.as_encoded_bytes();
        !bytes.is_empty() && bytes != b"-" && !bytes.starts_with(b"@")
    };
    let (mut kept, mut found, mut arguments) = (vec![], None, arguments);
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            kept.push(argument);
            kept.extend(arguments);
            break;
        }
        let token = match argument.to_str().and_then(|text| text.strip_prefix("--token=")) {
            Some(token) => Some(OsString::from(token)),
            None if argument == "--token" => arguments.next(),
            None => {
                kept.push(argument);
                continue;
            }
        };
        match token {
            Some(token) if hidden(&token) => found = Some(token),
            token => {
                kept.push("--token".into());
                kept.extend(token);
            }
        }
    }
    found.map(|found| (kept, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(line: &str) -> Option<(String, String)> {
        let (kept, token) = without_token(line.split(' ').map(OsString::from))?;
        let kept: Vec<String> = kept.into_iter().map(|part| part.into_string().unwrap()).collect();
        Some((kept.join(" "), token.into_string().unwrap()))
    }

    #[test]
    fn a_token_leaves_the_command_line() {
        let told = |kept: &str, token: &str| Some((kept.to_owned(), token.to_owned()));
        for line in ["q token list --token qst_a --json", "q token list --token=qst_a --json"] {
            assert_eq!(cut(line), told("q token list --json", "qst_a"), "{line}");
        }
        for line in
            ["q token list", "q peer list --token @f", "q peer list --token -", "q a --token", "q -- --token qst_a"]
        {
            assert_eq!(cut(line), None, "{line}");
        }
    }

    #[test]
    fn a_token_is_read_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "qst_a\n").unwrap();
        let named = format!("@{}", file.display());
        for (token, path) in
            [(Some(named.as_str()), None), (None, Some(file.as_path())), (Some("qst_a"), Some(file.as_path()))]
        {
            assert_eq!(read(token, path).unwrap().as_deref(), Some("qst_a"));
        }
        assert_eq!(read(None, None).unwrap(), None);
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(read(None, Some(&file)).unwrap_err().reason(), Reason::Required);
        assert_eq!(read(Some("@/nowhere"), None).unwrap_err().reason(), Reason::NotFound);
    }
}
