//! What `--redact` knows from the start: the names of the machine and of the user.

use memtide_model::{Redactor, SecretKind};

/// A redactor that knows these names; the rest it learns from the target.
pub(crate) fn redactor() -> Redactor {
    let mut redactor = Redactor::new();
    redactor.hide(
        SecretKind::Host,
        &rustix::system::uname().nodename().to_string_lossy(),
    );
    for variable in ["USER", "LOGNAME", "SUDO_USER"] {
        if let Ok(name) = std::env::var(variable) {
            redactor.hide(SecretKind::User, &name);
        }
    }
    redactor
}
