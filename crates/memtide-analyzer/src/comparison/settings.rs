//! What to write where, for whoever takes an arm: its environment as lines for a shell, a systemd unit and a
//! Dockerfile, quoted by the rules of each.
//!
//! Rules: POSIX shell (single quotes), systemd.exec(5) `Environment=` (double quotes with C escapes, `%%` for a
//! percent sign, no expansion of `$`), Dockerfile `ENV` (double quotes, `\` escapes).

/// One sentence each, with the line; empty without settings.
pub(super) fn lines(environment: &[String]) -> Vec<String> {
    if environment.is_empty() {
        return Vec::new();
    }
    let all = |line: fn(&str) -> String| {
        let parts: Vec<String> = environment.iter().map(|setting| line(setting)).collect();
        parts.join(" ")
    };
    vec![
        format!("In a shell, before the command: {}", all(shell)),
        format!(
            "In a systemd unit, under [Service]: Environment={}",
            all(unit)
        ),
        format!(
            "In a Dockerfile, with the library in the image: ENV {}",
            all(dockerfile)
        ),
    ]
}

fn is_plain(value: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./:,=+@".contains(c);
    !value.is_empty() && value.chars().all(safe)
}

/// `NAME='VALUE'`.
fn shell(setting: &str) -> String {
    let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
    if is_plain(value) {
        return setting.to_owned();
    }
    format!("{name}='{}'", value.replace('\'', r"'\''"))
}

/// `"NAME=VALUE"`.
fn unit(setting: &str) -> String {
    if is_plain(setting) {
        return setting.to_owned();
    }
    format!("\"{}\"", escaped(setting, &['"', '\\']).replace('%', "%%"))
}

/// `NAME="VALUE"`.
fn dockerfile(setting: &str) -> String {
    let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
    if is_plain(value) {
        return setting.to_owned();
    }
    format!("{name}=\"{}\"", escaped(value, &['"', '\\', '$']))
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if special.contains(&character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_settings_stand_as_they_are_and_others_are_quoted() {
        let environment = [
            "LD_PRELOAD=/usr/lib/libjemalloc.so.2",
            "MALLOC_CONF=a:1,b:$x'y %\"",
        ];
        let lines = lines(&environment.map(str::to_owned));
        assert!(
            lines[0].ends_with(
                r#"LD_PRELOAD=/usr/lib/libjemalloc.so.2 MALLOC_CONF='a:1,b:$x'\''y %"'"#
            ),
            "{}",
            lines[0]
        );
        assert!(
            lines[1].ends_with(
                r#"Environment=LD_PRELOAD=/usr/lib/libjemalloc.so.2 "MALLOC_CONF=a:1,b:$x'y %%\"""#
            ),
            "{}",
            lines[1]
        );
        assert!(
            lines[2].ends_with(
                r#"ENV LD_PRELOAD=/usr/lib/libjemalloc.so.2 MALLOC_CONF="a:1,b:\$x'y %\"""#
            ),
            "{}",
            lines[2]
        );
        assert!(super::lines(&[]).is_empty());
    }
}
