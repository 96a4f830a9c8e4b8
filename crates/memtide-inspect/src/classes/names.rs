//! Names of classes as people write them.

use memtide_model::text::printable;

/// What is kept of a name: some templates' names fill pages.
const LONGEST: usize = 1000;

/// Control blocks of `shared_ptr`. Those of the first kind hold the payload itself, and the block is
/// the payload's; of the others only the few words that count owners.
const PAYLOAD_INSIDE: [&str; 3] = [
    "std::_Sp_counted_ptr_inplace<",
    "std::__1::__shared_ptr_emplace<",
    "std::__ndk1::__shared_ptr_emplace<",
];
const PAYLOAD_ELSEWHERE: [&str; 6] = [
    "std::_Sp_counted_ptr<",
    "std::_Sp_counted_deleter<",
    "std::__1::__shared_ptr_pointer<",
    "std::__ndk1::__shared_ptr_pointer<",
    "boost::detail::sp_counted_impl_p<",
    "boost::detail::sp_counted_impl_pd<",
];

/// The readable form of a name in a `type_info` (`N4shop4CartE`); `None` where it is no such name.
pub(super) fn readable(raw: &[u8]) -> Option<String> {
    // A name that starts so is compared by its address: a class without linkage.
    let raw = raw.strip_prefix(b"*").unwrap_or(raw);
    let text = core::str::from_utf8(raw).ok()?;
    let may_be_in_name = |c: char| c.is_ascii_alphanumeric() || "_$.".contains(c) || !c.is_ascii();
    if text.is_empty() || !text.chars().all(may_be_in_name) {
        return None;
    }
    let demangled = memtide_symbols::demangle(&format!("_ZTS{text}"));
    let name = demangled.strip_prefix("typeinfo name for ").unwrap_or(text);
    Some(cut(&printable(with_payload(name).as_bytes())))
}

/// Names the payload of a `shared_ptr`'s control block.
fn with_payload(name: &str) -> String {
    let argument = |templates: &[&str]| {
        let rest = templates
            .iter()
            .find_map(|template| name.strip_prefix(template))?;
        first_argument(rest)
    };
    if let Some(payload) = argument(&PAYLOAD_INSIDE) {
        return format!("{payload} (make_shared)");
    }
    if let Some(payload) = argument(&PAYLOAD_ELSEWHERE) {
        let payload = payload.strip_suffix('*').unwrap_or(payload);
        let is_inside = name.contains("sp_ms_deleter<");
        let note = if is_inside {
            "make_shared"
        } else {
            "shared_ptr's counters"
        };
        return format!("{payload} ({note})");
    }
    name.to_owned()
}

/// The first of a template's arguments, given what follows the `<`.
fn first_argument(text: &str) -> Option<&str> {
    let mut depth = 0_u32;
    for (index, letter) in text.char_indices() {
        match letter {
            ',' | '>' if depth == 0 => return text.get(..index).map(str::trim),
            '<' | '(' | '[' | '{' => depth += 1,
            '>' | ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

fn cut(name: &str) -> String {
    if name.chars().nth(LONGEST).is_none() {
        return name.to_owned();
    }
    name.chars().take(LONGEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_type_infos() {
        for (raw, name) in [
            ("N4shop4CartE", Some("shop::Cart")),
            ("4Cart", Some("Cart")),
            (
                "*N12_GLOBAL__N_16HiddenE",
                Some("(anonymous namespace)::Hidden"),
            ),
            ("i", Some("int")),
            (
                "N4shop3BoxIiNS_4CartEEE",
                Some("shop::Box<int, shop::Cart>"),
            ),
            ("6Größe", Some("6Größe")),
            ("not_mangled_at_all", Some("not_mangled_at_all")),
            ("", None),
            ("*", None),
            ("GET /", None),
            ("\x01", None),
        ] {
            assert_eq!(readable(raw.as_bytes()).as_deref(), name, "{raw}");
        }
        assert_eq!(readable(b"\xff\xfe"), None);
    }

    #[test]
    fn control_blocks_name_their_payload() {
        for (demangled, name) in [
            (
                "std::_Sp_counted_ptr_inplace<shop::Cart, std::allocator<void>, (__gnu_cxx::_Lock_policy)2>",
                "shop::Cart (make_shared)",
            ),
            (
                "std::_Sp_counted_ptr_inplace<shop::Box<int, shop::Cart>, std::allocator<void>, (__gnu_cxx::_Lock_policy)2>",
                "shop::Box<int, shop::Cart> (make_shared)",
            ),
            (
                "std::_Sp_counted_ptr<shop::Cart*, (__gnu_cxx::_Lock_policy)2>",
                "shop::Cart (shared_ptr's counters)",
            ),
            (
                "std::__1::__shared_ptr_emplace<std::function<void (int)>, std::__1::allocator<int> >",
                "std::function<void (int)> (make_shared)",
            ),
            (
                "boost::detail::sp_counted_impl_pd<shop::Cart*, boost::detail::sp_ms_deleter<shop::Cart> >",
                "shop::Cart (make_shared)",
            ),
            (
                "std::_Sp_counted_ptr_inplace<shop",
                "std::_Sp_counted_ptr_inplace<shop",
            ),
            ("shop::Cart", "shop::Cart"),
        ] {
            assert_eq!(with_payload(demangled), name);
        }
    }

    #[test]
    fn endless_names_are_cut() {
        let long = format!("{}{}", 5000, "x".repeat(5000));
        let name = readable(long.as_bytes()).unwrap();
        assert_eq!(name.chars().count(), LONGEST);
        assert!(name.ends_with("xx…"));
    }
}
