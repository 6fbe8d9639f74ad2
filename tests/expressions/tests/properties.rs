//! What holds for every text and every value: parsing and evaluating never
//! panic and always end, and a literal that is written is read again.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use apim_expressions::{Expression, Limits, Text, Value};
use proptest::prelude::*;

/// Far less than usual, so that what loops is met often.
const SMALL: Limits = Limits {
    fuel: 20_000,
    depth: 256,
    memory: 200_000,
};

fn on_a_usual_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(2 * 1024 * 1024)
            .spawn_scoped(scope, work)
            .unwrap()
            .join()
            .unwrap()
    })
}

#[test]
fn deep_nesting_is_an_error_of_the_text() {
    on_a_usual_stack(|| {
        for (open, middle, close) in [
            ("(", "1", ")"),
            ("!", "true", ""),
            ("-", "1", ""),
            ("(int)", "1", ""),
            ("1 + ", "1", ""),
            ("1 ?? ", "1", ""),
            ("true ? 1 : ", "1", ""),
            ("new[] { ", "1", " }"),
            ("x => ", "1", ""),
            ("string.Concat(", "1", ")"),
            ("$\"{", "1", "}\""),
            ("a?.b(", "1", ")"),
            ("a[", "1", "]"),
            ("new { a = ", "1", " }"),
        ] {
            let source = format!("@({}{middle}{})", open.repeat(10_000), close.repeat(10_000));
            assert!(Expression::parse(&source).is_err(), "{open}");
        }
        for (before, after) in [
            ("a.", "b"),
            ("f().", "b"),
            ("a[0]", ""),
            ("1 + ", "1"),
            ("f()", ""),
        ] {
            let source = format!("@({}{after})", before.repeat(10_000));
            assert!(Expression::parse(&source).is_err(), "{before}");
        }
        for (open, close) in [
            ("{", "}"),
            ("if (true) ", ";"),
            ("if (true) { } else ", ";"),
            ("try {", "} catch { }"),
        ] {
            let source = format!(
                "@{{{}{} return 1; }}",
                open.repeat(10_000),
                close.repeat(10_000)
            );
            assert!(Expression::parse(&source).is_err(), "{open}");
        }
        let generic = format!(
            "@(({}int{}) null)",
            "List<".repeat(10_000),
            ">".repeat(10_000)
        );
        assert!(Expression::parse(&generic).is_err());
    });
}

#[test]
fn what_nests_as_deeply_as_may_be_is_executed_on_a_usual_stack() {
    on_a_usual_stack(|| {
        for (open, middle, close) in [
            ("(", "1", ")"),
            ("!", "true", ""),
            ("1 + ", "1", ""),
            ("true ? 1 : ", "1", ""),
            ("string.Concat(", "\"a\"", ")"),
            ("Math.Max(1, ", "1", ")"),
            ("$\"{(", "1", ")}\""),
            ("new[] { 1 }.Select(x => ", "1", ").First()"),
        ] {
            let deepest = (1..200)
                .rev()
                .find_map(|count| {
                    let source =
                        format!("@({}{middle}{})", open.repeat(count), close.repeat(count));
                    Expression::parse(&source).ok()
                })
                .unwrap();
            deepest
                .evaluate(&mut common::context(), &Limits::default())
                .unwrap_or_else(|error| panic!("{open} {error}"));
        }
        let sum = format!("@({}1)", "1 + ".repeat(150));
        assert_eq!(common::text(&sum), "151");
    });
}

#[test]
fn what_never_ends_is_stopped() {
    on_a_usual_stack(|| {
        for source in [
            "@{ while (true) { } }",
            "@{ for (;;) { } }",
            "@{ int F(int n) => F(n + 1); return F(0); }",
            "@{ int F(int n) { try { return F(n + 1); } catch { return F(n); } } return F(0); }",
            "@{ Func<int, int> f = null; f = n => f(n + 1); return f(0); }",
            "@{ var s = \"x\"; while (true) { s += s; } }",
            "@{ var s = \"x\"; while (true) { s = s.Replace(\"x\", \"xx\"); } }",
            "@{ var l = new List<object>(); while (true) { l.Add(l.ToArray()); } }",
            "@{ var l = new List<int>(); while (true) { l.Add(1); } }",
            "@{ var o = new JObject(); while (true) { var p = new JObject(); p[\"a\"] = o; o = p; } }",
            "@{ var a = new JArray(); while (true) { a.Add(a); } }",
            "@{ IEnumerable<int> q = new[] { 1 }; while (true) { q = q.Select(x => x); } }",
            "@(new string('x', 2000000000))",
            "@(\"\".PadLeft(2000000000))",
            "@(string.Format(\"{0,1000000000}\", 1))",
            "@(new byte[2000000000])",
            "@(Enumerable.Range(0, 2000000000).Sum())",
            "@(Enumerable.Repeat(\"x\", 2000000000).Count())",
            "@{ try { while (true) { } } catch { return 1; } finally { } }",
            "@{ var s = new StringBuilder(\"x\"); while (true) { s.Append(s.ToString()); } }",
            "@{ var l = new List<object>(); l.Add(l); return JsonConvert.SerializeObject(l); }",
            "@{ object o = 1; while (true) { o = new { o }; } }",
            "@{ object o = 1; while (true) { o = new[] { o }; } }",
            "@{ Func<int> f = () => 1; while (true) { var g = f; f = () => g(); } }",
        ] {
            let expression =
                Expression::parse(source).unwrap_or_else(|error| panic!("{source}\n{error}"));
            let limits = Limits {
                fuel: 500_000,
                memory: 4_000_000,
                ..Limits::default()
            };
            let error = expression
                .evaluate(&mut common::context(), &limits)
                .unwrap_err();
            assert_eq!(error.exception, "LimitExceeded", "{source} {error}");
        }
    });
}

/// Pieces that expressions are made of, so that many texts get far.
const PIECES: &[&str] = &[
    "context",
    ".",
    "Request",
    "Headers",
    "Body",
    "As<string>()",
    "Variables",
    "GetValueOrDefault",
    "(",
    ")",
    "\"a\"",
    "[",
    "]",
    "0",
    "1",
    "-1",
    "2.5",
    "null",
    "true",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    ">",
    "&&",
    "||",
    "??",
    "?.",
    "?",
    ":",
    "=>",
    "x",
    "y",
    "var",
    "x = ",
    "int",
    "string",
    "return ",
    ";",
    "{",
    "}",
    "if (",
    "else",
    "foreach (var x in ",
    "while (",
    "for (",
    "new",
    " new[] { ",
    "$\"{",
    "}\"",
    "@\"",
    "\"",
    "'",
    "'a'",
    "\\",
    ",",
    "JObject.Parse(",
    "List<int>",
    ".Select(x => x)",
    ".Where(x => true)",
    ".ToString()",
    ".Length",
    ".Split(';')",
    "(int)",
    "(string)",
    " as ",
    " is ",
    "try {",
    "} catch {",
    "out var z",
    "int.TryParse(",
    "Guid.NewGuid()",
    "DateTime.UtcNow",
    "Convert",
    "throw ",
    "//",
    "/*",
    "é",
    "𝄞",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_parsing_panic(text in any::<String>()) {
        let _ = Expression::parse(&text);
        let _ = Text::parse(&text);
        let _ = Expression::parse(&format!("@({text})"));
        let _ = Expression::parse(&format!("@{{{text}}}"));
        let _ = Expression::end_of(&text);
    }

    #[test]
    fn no_arrangement_of_pieces_makes_parsing_or_evaluating_panic(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24),
        block in any::<bool>(),
    ) {
        let text = pieces.concat();
        let source = if block { format!("@{{ {text} }}") } else { format!("@({text})") };
        if let Ok(expression) = Expression::parse(&source) {
            let _ = expression.evaluate(&mut common::context(), &SMALL);
        }
    }

    #[test]
    fn every_string_literal_is_read_as_it_was_written(text in any::<String>()) {
        let mut quoted = String::new();
        for c in text.chars() {
            match c {
                '"' | '\\' => { quoted.push('\\'); quoted.push(c); }
                c if c.is_control() => quoted.extend(format!("\\U{:08x}", u32::from(c)).chars()),
                c => quoted.push(c),
            }
        }
        let read = common::evaluate(&format!("@(\"{quoted}\")"), &mut common::context()).unwrap();
        prop_assert_eq!(read.as_str(), Some(text.as_str()));
        let verbatim = text.replace('"', "\"\"");
        let read = common::evaluate(&format!("@(@\"{verbatim}\")"), &mut common::context()).unwrap();
        prop_assert_eq!(read.as_str(), Some(text.as_str()));
        let length = common::text(&format!("@(\"{quoted}\".Length)"));
        prop_assert_eq!(length, text.encode_utf16().count().to_string());
    }

    #[test]
    fn every_number_is_read_as_it_is_printed(long in any::<i64>(), double in any::<f64>()) {
        let read = common::evaluate(&format!("@({long}L)"), &mut common::context()).unwrap();
        prop_assert_eq!(read.as_i64(), Some(long));
        if double.is_finite() {
            let printed = Value::from(double).to_string();
            let read = common::evaluate(&format!("@({printed}d)"), &mut common::context()).unwrap();
            prop_assert_eq!(read.to_string(), printed.clone());
            prop_assert_eq!(common::text(&format!("@(double.Parse(\"{printed}\"))")), printed);
        }
    }

    #[test]
    fn integers_wrap_around(a in any::<i32>(), b in any::<i32>()) {
        let mut context = common::context();
        context.variables.insert("a".to_owned(), a.into());
        context.variables.insert("b".to_owned(), b.into());
        let of = |operator: &str| format!("@((int)context.Variables[\"a\"] {operator} (int)context.Variables[\"b\"])");
        for (operator, expected) in [
            ("+", a.wrapping_add(b)),
            ("-", a.wrapping_sub(b)),
            ("*", a.wrapping_mul(b)),
            ("&", a & b),
            ("|", a | b),
            ("^", a ^ b),
            ("<<", a.wrapping_shl(b.cast_unsigned() & 31)),
            (">>", a >> (b & 31)),
        ] {
            let read = common::evaluate(&of(operator), &mut context).unwrap();
            prop_assert_eq!(read.as_i64(), Some(expected.into()), "{} {} {}", a, operator, b);
        }
        if b != 0 && !(a == i32::MIN && b == -1) {
            let read = common::evaluate(&of("/"), &mut context).unwrap();
            prop_assert_eq!(read.as_i64(), Some((a / b).into()));
            let read = common::evaluate(&of("%"), &mut context).unwrap();
            prop_assert_eq!(read.as_i64(), Some((a % b).into()));
        }
    }

    #[test]
    fn dates_are_read_as_they_are_printed(seconds in -62_135_596_800_i64..253_402_300_799) {
        let source = format!("@(DateTimeOffset.FromUnixTimeSeconds({seconds}L))");
        let mut context = common::context();
        let printed = common::evaluate(&source, &mut context).unwrap().to_string();
        let again = common::evaluate(&format!("@(DateTimeOffset.Parse(\"{printed}\").ToUnixTimeSeconds())"), &mut context).unwrap();
        prop_assert_eq!(again.as_i64(), Some(seconds));
    }
}
