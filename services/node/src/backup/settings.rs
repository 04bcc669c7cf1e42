//! One setting of a configuration's text, changed; everything else, comments too, stays as its operator wrote it.

/// The text with `section.key` saying `value`.
pub(super) fn with(text: &str, section: &str, key: &str, value: &str) -> String {
    let head = format!("[{section}]");
    let line = format!("{key} = {}", serde_json::Value::from(value));
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let Some(start) = lines.iter().position(|line| line.split('#').next().is_some_and(|l| l.trim() == head)) else {
        return format!("{}\n\n{head}\n{line}\n", text.trim_end());
    };
    let end = lines.iter().skip(start + 1).position(|line| line.trim_start().starts_with('['));
    let end = end.map_or(lines.len(), |end| start + 1 + end);
    let says = |line: &String| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
    match lines[start..end].iter().position(says) {
        Some(at) => lines[start + at] = line,
        None => lines.insert(start + 1, line),
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::with;

    #[test]
    fn one_setting_is_changed_and_nothing_else() {
        let text = "# ours\n[node]\ncode = \"64\"\nurl = \"no\"\n\n[database] # here\n url = \"sqlite:a.db\" # old\nsqlite_readers = 2\n[log]\n";
        let changed = with(text, "database", "url", "sqlite:b \"c\".db");
        assert_eq!(changed, text.replace(" url = \"sqlite:a.db\" # old", r#"url = "sqlite:b \"c\".db""#));
        assert_eq!(with(text, "keys", "directory", "keys"), format!("{text}\n[keys]\ndirectory = \"keys\"\n"));
        assert_eq!(with(text, "log", "format", "json"), format!("{text}format = \"json\"\n"));
    }
}
