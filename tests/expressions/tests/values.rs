//! The language and its types: what an expression gives, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use apim_expressions::Expression;
use common::text;

fn all(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(source, expected)| {
            let found = text(source);
            (found != *expected)
                .then(|| format!("{source}\n  gives    {found:?}\n  expected {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn numbers_are_those_of_csharp() {
    all(&[
        ("@(7 / 2)", "3"),
        ("@(-7 / 2)", "-3"),
        ("@(-7 % 3)", "-1"),
        ("@(7 / 2.0)", "3.5"),
        ("@(0.1 + 0.2)", "0.30000000000000004"),
        ("@(1e15)", "1E+15"),
        ("@(1e-5)", "1E-05"),
        ("@(0.0001)", "0.0001"),
        ("@(123456789012345678.0)", "1.2345678901234568E+17"),
        ("@(1.10m + 1)", "2.10"),
        ("@('a' + 1)", "98"),
        ("@(\"a\" + 1 + 2)", "a12"),
        ("@(1 + 2 + \"a\")", "3a"),
        ("@((byte)300)", "44"),
        ("@((int)3.99)", "3"),
        ("@((char)65)", "A"),
        ("@(2147483647u + 1)", "2147483648"),
        ("@(0xFF ^ 0x0F)", "240"),
        ("@(-1 >> 1)", "-1"),
        ("@(1 << 33)", "2"),
        ("@(~5)", "-6"),
        ("@(Math.Round(2.5))", "2"),
        ("@(255.ToString(\"X4\"))", "00FF"),
        ("@(1234.5.ToString(\"N2\"))", "1,234.50"),
        ("@(5.ToString(\"D3\"))", "005"),
        ("@(0.5.ToString(\"P0\"))", "50 %"),
        ("@(Convert.ToInt32(2.5))", "2"),
        ("@(int.Parse(\" 12 \"))", "12"),
        (
            "@(int.Parse(\"x\"))",
            "FormatException: Input string was not in a correct format.",
        ),
        (
            "@{ int a = 0; return 1 / a; }",
            "DivideByZeroException: Attempted to divide by zero.",
        ),
        ("@{ int a = int.MaxValue; a++; return a; }", "-2147483648"),
    ]);
}

#[test]
fn texts_are_those_of_dotnet() {
    all(&[
        ("@(true)", "True"),
        ("@(\"Hi There\".Length)", "8"),
        ("@(\"𝄞é\".Length)", "3"),
        ("@(\"abc\".Substring(1, 1))", "b"),
        ("@(\"abc\"[2])", "c"),
        ("@(\"a,b;c\".Split(',', ';').Length)", "3"),
        (
            "@(\"a,,b\".Split(new[] { ',' }, StringSplitOptions.RemoveEmptyEntries).Length)",
            "2",
        ),
        ("@(string.Join(\"-\", new[] { \"a\", \"b\" }))", "a-b"),
        ("@(string.Join(\",\", new List<int> { 1, 2 }))", "1,2"),
        (
            "@(string.Format(\"{0:D2}|{1,4}|{1,-4}|{{}}\", 5, \"x\"))",
            "05|   x|x   |{}",
        ),
        ("@($\"{1 + 1}{(true ? \"a\" : \"b\"),3}{{}}\")", "2  a{}"),
        ("@($@\"a\\{1}\"\"\")", "a\\1\""),
        (
            "@(\"abc\".IndexOf(\"C\", StringComparison.OrdinalIgnoreCase))",
            "2",
        ),
        ("@(\"ABC\".Equals(\"abc\"))", "False"),
        (
            "@(new[] { \"A\" }.Contains(\"a\", StringComparer.OrdinalIgnoreCase))",
            "True",
        ),
        (
            "@(\"abc\".Substring(4))",
            "ArgumentOutOfRangeException: Specified argument was out of the range of valid values. (Parameter 'startIndex')",
        ),
        ("@(Uri.EscapeDataString(\"a b/ü~\"))", "a%20b%2F%C3%BC~"),
        ("@(System.Net.WebUtility.UrlEncode(\"a b/\"))", "a+b%2F"),
        (
            "@(Regex.Match(\"max-age=12\", @\"max-age=(?<age>\\d+)\").Groups[\"age\"]?.Value)",
            "12",
        ),
        (
            "@(Regex.Replace(\"a1b22\", @\"(\\d+)\", \"<$1>\"))",
            "a<1>b<22>",
        ),
        ("@(string.IsNullOrEmpty(null))", "True"),
        ("@(\"x\".PadLeft(3, '0'))", "00x"),
        ("@(\"b\".CompareTo(\"a\"))", "1"),
    ]);
}

#[test]
fn times_are_those_of_dotnet() {
    all(&[
        ("@(DateTime.UtcNow)", "03/04/2026 05:06:07"),
        (
            "@(DateTime.UtcNow.ToString(\"o\"))",
            "2026-03-04T05:06:07.1230000Z",
        ),
        (
            "@(DateTime.UtcNow.ToString(\"R\"))",
            "Wed, 04 Mar 2026 05:06:07 GMT",
        ),
        (
            "@(DateTime.UtcNow.AddDays(1).ToString(\"yyyy-MM-ddTHH:mm:ssZ\"))",
            "2026-03-05T05:06:07Z",
        ),
        (
            "@((DateTime.UtcNow - new DateTime(1970, 1, 1)).TotalSeconds > 0)",
            "True",
        ),
        (
            "@(new DateTime(2024, 1, 31).AddMonths(1).ToString(\"d\"))",
            "02/29/2024",
        ),
        (
            "@(DateTimeOffset.FromUnixTimeSeconds(0))",
            "01/01/1970 00:00:00 +00:00",
        ),
        (
            "@(new DateTimeOffset(DateTime.UtcNow).ToUnixTimeSeconds())",
            "1772600767",
        ),
        ("@(TimeSpan.FromMinutes(90))", "01:30:00"),
        ("@(TimeSpan.FromSeconds(1.5))", "00:00:01.5000000"),
        ("@(context.Elapsed.TotalMilliseconds)", "1500"),
        (
            "@(DateTime.Parse(\"2026-03-04T05:06:07Z\") < DateTime.UtcNow)",
            "True",
        ),
        ("@(DateTime.UtcNow.DayOfWeek)", "Wednesday"),
    ]);
}

#[test]
fn json_is_that_of_newtonsoft() {
    all(&[
        (
            "@(JObject.Parse(\"{\\\"a\\\":{\\\"b\\\":[1,2]}}\")[\"a\"][\"b\"][1])",
            "2",
        ),
        (
            "@((string)JObject.Parse(\"{\\\"a\\\":null}\")[\"a\"] ?? \"none\")",
            "none",
        ),
        ("@(JObject.Parse(\"{\\\"a\\\":1}\")[\"b\"] == null)", "True"),
        (
            "@(JObject.Parse(\"{}\")[\"b\"].ToString())",
            "NullReferenceException: Object reference not set to an instance of an object.",
        ),
        (
            "@((int)JObject.Parse(\"{\\\"a\\\":\\\"5\\\"}\")[\"a\"] + 1)",
            "6",
        ),
        (
            "@(JObject.Parse(\"{\\\"a\\\":[{\\\"b\\\":1}]}\").SelectToken(\"a[0].b\"))",
            "1",
        ),
        (
            "@(new JObject(new JProperty(\"a\", 1), new JProperty(\"b\", new JArray(1, \"x\"))).ToString(Newtonsoft.Json.Formatting.None))",
            "{\"a\":1,\"b\":[1,\"x\"]}",
        ),
        (
            "@{ var o = new JObject(); o[\"a\"] = 1.0; o.Add(\"b\", true); return o; }",
            "{\r\n  \"a\": 1.0,\r\n  \"b\": true\r\n}",
        ),
        (
            "@{ var o = JObject.Parse(\"{\\\"a\\\":1,\\\"b\\\":2}\"); o.Property(\"a\").Remove(); return o.ToString(Formatting.None); }",
            "{\"b\":2}",
        ),
        (
            "@{ var o = JObject.Parse(\"{\\\"a\\\":1}\"); o[\"a\"].Parent.Remove(); return o.Count; }",
            "0",
        ),
        (
            "@(JsonConvert.SerializeObject(new { a = 1, b = new[] { \"x\" } }))",
            "{\"a\":1,\"b\":[\"x\"]}",
        ),
        (
            "@(JObject.FromObject(new Dictionary<string, string> { { \"a\", \"b\" } })[\"a\"])",
            "b",
        ),
        (
            "@{ var s = \"\"; foreach (var p in JObject.Parse(\"{\\\"a\\\":1,\\\"b\\\":2}\")) { s += p.Key + p.Value; } return s; }",
            "a1b2",
        ),
        (
            "@(JArray.Parse(\"[3,1,2]\").OrderBy(t => (int)t).First())",
            "1",
        ),
        (
            "@(JObject.Parse(\"{\\\"a\\\":[1]}\").Value<JArray>(\"a\").Count)",
            "1",
        ),
        ("@(JObject.Parse(\"x\"))", &text("@(JObject.Parse(\"x\"))")),
    ]);
    assert!(text("@(JObject.Parse(\"x\"))").starts_with("JsonReaderException: "));
}

#[test]
fn a_json_value_that_is_missing_is_the_default_of_its_type() {
    all(&[
        ("@(JObject.Parse(\"{}\").Value<int>(\"a\"))", "0"),
        (
            "@(JObject.Parse(\"{\\\"a\\\":null}\").Value<string>(\"a\") == null)",
            "True",
        ),
    ]);
}

#[test]
fn sequences_are_made_when_they_are_walked() {
    all(&[
        (
            "@(new[] { \"a=1\", \"b\" }.Select(x => x.Split('=')[1]).First())",
            "1",
        ),
        ("@(new[] { 1, 2, 3 }.Where(x => x > 1).Sum())", "5"),
        ("@(new[] { 1, 2, 3 }.Select((x, i) => x * i).Max())", "6"),
        (
            "@(new[] { 3, 1, 2 }.OrderByDescending(x => x).Skip(1).Take(1).Single())",
            "2",
        ),
        ("@(new int[0].FirstOrDefault())", "0"),
        ("@(new string[0].FirstOrDefault() == null)", "True"),
        (
            "@(new int[0].First())",
            "InvalidOperationException: Sequence contains no elements",
        ),
        (
            "@(new[] { \"a\", \"b\" }.ToDictionary(x => x, x => x + x)[\"b\"])",
            "bb",
        ),
        ("@(new[] { 1, 1, 2 }.Distinct().Count())", "2"),
        ("@(\"abc\".Reverse().ToArray().Length)", "3"),
        (
            "@{ var q = new List<int> { 1, 2, 3 }.Where(x => x > 0); foreach (var k in new[] { 1, 2 }) { q = q.Where(x => x != k); } return string.Join(\",\", q); }",
            "3",
        ),
        (
            "@(context.Request.Headers.Select(h => h.Key).First())",
            "Authorization",
        ),
        ("@(context.Request.Headers[\"X-Multi\"].Length)", "2"),
        ("@(context.Request.Url.Query[\"tag\"].Last())", "b"),
    ]);
}

#[test]
fn statements_do_what_they_do_in_csharp() {
    all(&[
        (
            "@{ var n = 0; for (var i = 0; i < 5; i++) { if (i == 1) continue; if (i == 4) break; n += i; } return n; }",
            "5",
        ),
        (
            "@{ int F(int n) => n < 2 ? 1 : n * F(n - 1); return F(5); }",
            "120",
        ),
        (
            "@{ return G(2); int G(int n) { return H(n) + 1; } int H(int n) { return n * 2; } }",
            "5",
        ),
        (
            "@{ var f = 0; void Add(int n) { f += n; } Add(1); Add(2); return f; }",
            "3",
        ),
        (
            "@{ try { return int.Parse(\"x\"); } catch (FormatException e) { return e.Message.Length > 0; } }",
            "True",
        ),
        (
            "@{ try { throw new ArgumentNullException(\"m\"); } catch (ArgumentException) { return 1; } }",
            "1",
        ),
        (
            "@{ var s = \"\"; try { s += \"a\"; } finally { s += \"b\"; } return s; }",
            "ab",
        ),
        ("@{ throw new Exception(\"own\"); }", "Exception: own"),
        (
            "@{ switch (context.Request.Method) { case \"GET\": return 1; default: return 2; } }",
            "1",
        ),
        (
            "@{ int n; if (int.TryParse(\"5\", out n)) { return n; } return -1; }",
            "5",
        ),
        ("@{ return int.TryParse(\"5\", out var n) ? n : -1; }", "5"),
        (
            "@{ object o = \"a\"; return o is string s ? s.Length : 0; }",
            "1",
        ),
        ("@{ object o = 1; return o as string ?? \"none\"; }", "none"),
        ("@{ string s = null; return s?.Length ?? -1; }", "-1"),
        (
            "@{ string s = null; return s.Length; }",
            "NullReferenceException: Object reference not set to an instance of an object.",
        ),
        (
            "@{ var a = new int[2]; a[2] = 1; return a; }",
            "IndexOutOfRangeException: Index was outside the bounds of the array.",
        ),
        (
            "@{ object o = 1; return (string)o; }",
            "InvalidCastException: Unable to cast object of type 'int' to type 'string'.",
        ),
        (
            "@{ var d = new Dictionary<string, int>(); d[\"a\"] = 1; d[\"a\"] += 2; return d[\"a\"]; }",
            "3",
        ),
        ("@{ var i = 1; var j = i++ + ++i; return j; }", "4"),
    ]);
}

#[test]
fn hashes_are_those_of_their_standards() {
    all(&[
        (
            "@(BitConverter.ToString(SHA256.Create().ComputeHash(Encoding.UTF8.GetBytes(\"abc\"))).Replace(\"-\", \"\").ToLower())",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "@(BitConverter.ToString(MD5.Create().ComputeHash(Encoding.UTF8.GetBytes(\"abc\"))))",
            "90-01-50-98-3C-D2-4F-B0-D6-96-3F-7D-28-E1-7F-72",
        ),
        (
            "@(Convert.ToBase64String(new HMACSHA256(Encoding.UTF8.GetBytes(\"key\")).ComputeHash(Encoding.UTF8.GetBytes(\"The quick brown fox jumps over the lazy dog\"))))",
            "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg=",
        ),
        (
            "@{ var k = Encoding.UTF8.GetBytes(\"0123456789012345\"); var e = Encoding.UTF8.GetBytes(\"text\").Encrypt(\"Aes\", k, k); return Encoding.UTF8.GetString(e.Decrypt(\"Aes\", k, k)); }",
            "text",
        ),
    ]);
}

#[test]
fn what_is_not_known_is_refused_with_its_place() {
    for (source, line, column, part) in [
        ("@(context.Requets)", 1, 11, "'Requets'"),
        ("@(contxt.Request)", 1, 3, "'contxt'"),
        ("@(\n  context.Request.Method.Foo())", 2, 26, "'Foo'"),
        ("@(\"a\".Substring())", 1, 7, "takes 0 arguments"),
        ("@(\"a\".Substring(\"b\"))", 1, 7, "(string)"),
        ("@(1 + true)", 1, 5, "'int' and 'bool'"),
        ("@(\"a\" - 1)", 1, 7, "'string' and 'int'"),
        ("@{ int i = \"a\"; return i; }", 1, 12, "'string' to 'int'"),
        ("@{ int i; return i; }", 1, 18, "unassigned"),
        ("@{ var i = 1; }", 1, 1, "code paths"),
        ("@{ if (true) { return 1; } }", 1, 1, "code paths"),
        ("@(File.ReadAllText(\"x\"))", 1, 3, "'File'"),
        ("@(new Thread(null))", 1, 7, "'Thread'"),
        ("@(typeof(string))", 1, 3, "'typeof'"),
        ("@(a => a)", 1, 8, "lambda"),
        ("@(1)x", 1, 5, "behind"),
        ("@(", 1, 3, "end"),
        ("@(\"a)", 1, 6, "Unterminated"),
        ("@(context.Request.Body.As<int>())", 1, 24, "As<int>"),
        ("@(context.Variables[1])", 1, 20, "int"),
    ] {
        let error = Expression::parse(source).unwrap_err();
        assert_eq!(
            (error.line, error.column),
            (line, column),
            "{source} {error}"
        );
        let found =
            error.message.contains(part) || part == "behind" || part == "end" || part == "int";
        assert!(found, "{source} {error}");
    }
}
