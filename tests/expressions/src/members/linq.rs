//! `System.Linq.Enumerable`: what every sequence has.

use super::table::{Member, Table};
use crate::error::Fault;
use crate::evaluate::sequence::{Walk, array, collect, comparison, distinct, list, query, set};
use crate::evaluate::{Call, Machine, default_of, equal};
use crate::types::Type;
use crate::value::{Arithmetic, Dictionary, Kind, Number, Object, Step, Value};

pub(super) const TABLES: &[Table] = &[Table {
    name: "Enumerable",
    namespace: "System.Linq",
    members: &[
        Member(
            "IEnumerable<T> Where<T>(this IEnumerable<T> source, Func<T, bool> test)",
            |m, a| query(m, a.value(0), Step::Where(a.value(1))),
        ),
        Member(
            "IEnumerable<T> Where<T>(this IEnumerable<T> source, Func<T, int, bool> test)",
            |m, a| query(m, a.value(0), Step::Where(a.value(1))),
        ),
        Member(
            "IEnumerable<U> Select<T, U>(this IEnumerable<T> source, Func<T, U> selector)",
            |m, a| query(m, a.value(0), Step::Select(a.value(1))),
        ),
        Member(
            "IEnumerable<U> Select<T, U>(this IEnumerable<T> source, Func<T, int, U> selector)",
            |m, a| query(m, a.value(0), Step::Select(a.value(1))),
        ),
        Member(
            "IEnumerable<U> SelectMany<T, U>(this IEnumerable<T> source, Func<T, IEnumerable<U>> selector)",
            |m, a| query(m, a.value(0), Step::SelectMany(a.value(1))),
        ),
        Member(
            "IEnumerable<T> Skip<T>(this IEnumerable<T> source, int count)",
            |m, a| {
                query(
                    m,
                    a.value(0),
                    Step::Skip(usize::try_from(a.int(1)?).unwrap_or(0)),
                )
            },
        ),
        Member(
            "IEnumerable<T> Take<T>(this IEnumerable<T> source, int count)",
            |m, a| {
                query(
                    m,
                    a.value(0),
                    Step::Take(usize::try_from(a.int(1)?).unwrap_or(0)),
                )
            },
        ),
        Member(
            "IEnumerable<T> SkipWhile<T>(this IEnumerable<T> source, Func<T, bool> test)",
            |m, a| query(m, a.value(0), Step::SkipWhile(a.value(1))),
        ),
        Member(
            "IEnumerable<T> TakeWhile<T>(this IEnumerable<T> source, Func<T, bool> test)",
            |m, a| query(m, a.value(0), Step::TakeWhile(a.value(1))),
        ),
        Member(
            "IEnumerable<T> Concat<T>(this IEnumerable<T> source, IEnumerable<T> more)",
            |m, a| query(m, a.value(0), Step::Concat(a.value(1))),
        ),
        Member(
            "IEnumerable<T> Union<T>(this IEnumerable<T> source, IEnumerable<T> more)",
            |m, a| {
                let both = query(m, a.value(0), Step::Concat(a.value(1)))?;
                query(m, both, Step::Distinct)
            },
        ),
        Member(
            "IEnumerable<T> Distinct<T>(this IEnumerable<T> source)",
            |m, a| query(m, a.value(0), Step::Distinct),
        ),
        Member(
            "IEnumerable<T> Reverse<T>(this IEnumerable<T> source)",
            |m, a| query(m, a.value(0), Step::Reverse),
        ),
        Member(
            "IEnumerable<T> OrderBy<T, K>(this IEnumerable<T> source, Func<T, K> key)",
            |m, a| query(m, a.value(0), Step::OrderBy(a.value(1), false)),
        ),
        Member(
            "IEnumerable<T> OrderByDescending<T, K>(this IEnumerable<T> source, Func<T, K> key)",
            |m, a| query(m, a.value(0), Step::OrderBy(a.value(1), true)),
        ),
        Member(
            "IEnumerable<V> Zip<T, U, V>(this IEnumerable<T> source, IEnumerable<U> other, Func<T, U, V> selector)",
            |m, a| query(m, a.value(0), Step::Zip(a.value(1), a.value(2))),
        ),
        Member(
            "IEnumerable<U> Cast<U>(this IEnumerable<object> source)",
            |m, a| {
                let kind = a.kind(0);
                query(m, a.value(0), Step::Cast(kind))
            },
        ),
        Member(
            "IEnumerable<U> OfType<U>(this IEnumerable<object> source)",
            |m, a| {
                let kind = a.kind(0);
                query(m, a.value(0), Step::OfType(kind))
            },
        ),
        Member(
            "IEnumerable<T> Except<T>(this IEnumerable<T> source, IEnumerable<T> others)",
            |m, a| in_other(m, a, false),
        ),
        Member(
            "IEnumerable<T> Intersect<T>(this IEnumerable<T> source, IEnumerable<T> others)",
            |m, a| in_other(m, a, true),
        ),
        Member(
            "IEnumerable<T> Append<T>(this IEnumerable<T> source, T item)",
            |m, a| {
                let last = array(a.kind(0), vec![a.value(1)]);
                query(m, a.value(0), Step::Concat(last))
            },
        ),
        Member(
            "IEnumerable<T> DefaultIfEmpty<T>(this IEnumerable<T> source, T item)",
            |m, a| {
                let mut all = collect(m, &a.value(0))?;
                if all.is_empty() {
                    all.push(a.value(1));
                }
                Ok(array(a.kind(0), all))
            },
        ),
        Member("T First<T>(this IEnumerable<T> source)", |m, a| {
            first(m, a, false, true)
        }),
        Member(
            "T First<T>(this IEnumerable<T> source, Func<T, bool> test)",
            |m, a| first(m, a, true, true),
        ),
        Member("T FirstOrDefault<T>(this IEnumerable<T> source)", |m, a| {
            first(m, a, false, false)
        }),
        Member(
            "T FirstOrDefault<T>(this IEnumerable<T> source, Func<T, bool> test)",
            |m, a| first(m, a, true, false),
        ),
        Member("T Last<T>(this IEnumerable<T> source)", |m, a| {
            last(m, a, false, true)
        }),
        Member(
            "T Last<T>(this IEnumerable<T> source, Func<T, bool> test)",
            |m, a| last(m, a, true, true),
        ),
        Member("T LastOrDefault<T>(this IEnumerable<T> source)", |m, a| {
            last(m, a, false, false)
        }),
        Member(
            "T LastOrDefault<T>(this IEnumerable<T> source, Func<T, bool> test)",
            |m, a| last(m, a, true, false),
        ),
        Member("T Single<T>(this IEnumerable<T> source)", |m, a| {
            single(m, a, false, true)
        }),
        Member(
            "T Single<T>(this IEnumerable<T> source, Func<T, bool> test)",
            |m, a| single(m, a, true, true),
        ),
        Member(
            "T SingleOrDefault<T>(this IEnumerable<T> source)",
            |m, a| single(m, a, false, false),
        ),
        Member(
            "T SingleOrDefault<T>(this IEnumerable<T> source, Func<T, bool> test)",
            |m, a| single(m, a, true, false),
        ),
        Member(
            "T ElementAt<T>(this IEnumerable<T> source, int index)",
            |m, a| {
                let index = usize::try_from(a.int(1)?).map_err(|_| Fault::out_of_range("index"))?;
                collect(m, &a.value(0))?
                    .into_iter()
                    .nth(index)
                    .ok_or_else(|| Fault::out_of_range("index"))
            },
        ),
        Member(
            "T ElementAtOrDefault<T>(this IEnumerable<T> source, int index)",
            |m, a| {
                let found = match usize::try_from(a.int(1)?) {
                    Ok(index) => collect(m, &a.value(0))?.into_iter().nth(index),
                    Err(_) => None,
                };
                Ok(found.unwrap_or_else(|| default_of(&a.kind(0))))
            },
        ),
        Member("bool Any<T>(this IEnumerable<T> source)", |m, a| {
            let mut walk = Walk::of(m, &a.value(0))?;
            Ok(walk.next(m)?.is_some().into())
        }),
        Member(
            "bool Any<T>(this IEnumerable<T> source, Func<T, bool> test)",
            |m, a| Ok(matching(m, a, true)?.is_some().into()),
        ),
        Member(
            "bool All<T>(this IEnumerable<T> source, Func<T, bool> test)",
            |m, a| {
                let mut walk = Walk::of(m, &a.value(0))?;
                while let Some(item) = walk.next(m)? {
                    if m.invoke(&a.value(1), &[item])?.as_bool() != Some(true) {
                        return Ok(false.into());
                    }
                }
                Ok(true.into())
            },
        ),
        Member("int Count<T>(this IEnumerable<T> source)", |m, a| {
            let count = collect(m, &a.value(0))?.len();
            Ok(Value::int(i32::try_from(count).unwrap_or(i32::MAX)))
        }),
        Member(
            "int Count<T>(this IEnumerable<T> source, Func<T, bool> test)",
            |m, a| {
                let filtered = query(m, a.value(0), Step::Where(a.value(1)))?;
                let count = collect(m, &filtered)?.len();
                Ok(Value::int(i32::try_from(count).unwrap_or(i32::MAX)))
            },
        ),
        Member(
            "bool Contains<T>(this IEnumerable<T> source, T item)",
            |m, a| {
                let wanted = a.value(1);
                let mut walk = Walk::of(m, &a.value(0))?;
                while let Some(item) = walk.next(m)? {
                    if equal(&item, &wanted) {
                        return Ok(true.into());
                    }
                }
                Ok(false.into())
            },
        ),
        Member(
            "bool Contains(this IEnumerable<string> source, string item, StringComparer comparer)",
            |m, a| {
                let ignore = a.member(2).ends_with("IgnoreCase");
                let wanted = a.text_or_empty(1);
                let mut walk = Walk::of(m, &a.value(0))?;
                while let Some(item) = walk.next(m)? {
                    if item
                        .as_str()
                        .is_some_and(|text| super::text::same_text(text, &wanted, ignore))
                    {
                        return Ok(true.into());
                    }
                }
                Ok(false.into())
            },
        ),
        Member(
            "bool SequenceEqual<T>(this IEnumerable<T> source, IEnumerable<T> other)",
            |m, a| {
                let (one, two) = (collect(m, &a.value(0))?, collect(m, &a.value(1))?);
                Ok(
                    (one.len() == two.len() && one.iter().zip(&two).all(|(a, b)| equal(a, b)))
                        .into(),
                )
            },
        ),
        Member("T[] ToArray<T>(this IEnumerable<T> source)", |m, a| {
            let all = collect(m, &a.value(0))?;
            Ok(array(a.kind(0), all))
        }),
        Member("List<T> ToList<T>(this IEnumerable<T> source)", |m, a| {
            let all = collect(m, &a.value(0))?;
            Ok(list(a.kind(0), all))
        }),
        Member(
            "HashSet<T> ToHashSet<T>(this IEnumerable<T> source)",
            |m, a| {
                let all = collect(m, &a.value(0))?;
                set(m, a.kind(0), all)
            },
        ),
        Member(
            "Dictionary<K, T> ToDictionary<T, K>(this IEnumerable<T> source, Func<T, K> key)",
            |m, a| dictionary(m, a, a.kind(1), a.kind(0)),
        ),
        Member(
            "Dictionary<K, V> ToDictionary<T, K, V>(this IEnumerable<T> source, Func<T, K> key, Func<T, V> value)",
            |m, a| dictionary(m, a, a.kind(1), a.kind(2)),
        ),
        Member("int Sum(this IEnumerable<int> source)", |m, a| {
            sum(m, &a.value(0), Kind::Int)
        }),
        Member("long Sum(this IEnumerable<long> source)", |m, a| {
            sum(m, &a.value(0), Kind::Long)
        }),
        Member("double Sum(this IEnumerable<double> source)", |m, a| {
            sum(m, &a.value(0), Kind::Double)
        }),
        Member("decimal Sum(this IEnumerable<decimal> source)", |m, a| {
            sum(m, &a.value(0), Kind::Decimal)
        }),
        Member("T Max<T>(this IEnumerable<T> source)", |m, a| {
            extreme(m, a, std::cmp::Ordering::Greater)
        }),
        Member("T Min<T>(this IEnumerable<T> source)", |m, a| {
            extreme(m, a, std::cmp::Ordering::Less)
        }),
        Member(
            "U Max<T, U>(this IEnumerable<T> source, Func<T, U> selector)",
            |m, a| {
                a.values[0] = query(m, a.value(0), Step::Select(a.value(1)))?;
                extreme(m, a, std::cmp::Ordering::Greater)
            },
        ),
        Member(
            "U Min<T, U>(this IEnumerable<T> source, Func<T, U> selector)",
            |m, a| {
                a.values[0] = query(m, a.value(0), Step::Select(a.value(1)))?;
                extreme(m, a, std::cmp::Ordering::Less)
            },
        ),
        Member(
            "T Aggregate<T>(this IEnumerable<T> source, Func<T, T, T> function)",
            |m, a| {
                let mut walk = Walk::of(m, &a.value(0))?;
                let mut all = walk.next(m)?.ok_or_else(no_elements)?;
                while let Some(item) = walk.next(m)? {
                    all = m.invoke(&a.value(1), &[all, item])?;
                }
                Ok(all)
            },
        ),
        Member(
            "U Aggregate<T, U>(this IEnumerable<T> source, U seed, Func<U, T, U> function)",
            |m, a| {
                let mut walk = Walk::of(m, &a.value(0))?;
                let mut all = a.value(1);
                while let Some(item) = walk.next(m)? {
                    all = m.invoke(&a.value(2), &[all, item])?;
                }
                Ok(all)
            },
        ),
        Member(
            "static IEnumerable<int> Range(int start, int count)",
            |m, a| {
                let (start, count) = (a.int(0)?, a.count(1, "count")?);
                m.allocate(count.saturating_mul(24))?;
                let last = i64::try_from(count).unwrap_or(i64::MAX);
                let all = (start..start.saturating_add(last)).filter_map(|n| i32::try_from(n).ok());
                Ok(array(Type::INT, all.map(Value::int).collect()))
            },
        ),
        Member(
            "static IEnumerable<T> Repeat<T>(T item, int count)",
            |m, a| {
                let count = a.count(1, "count")?;
                m.allocate(count.saturating_mul(24))?;
                Ok(array(a.kind(0), vec![a.value(0); count]))
            },
        ),
        Member("static IEnumerable<T> Empty<T>()", |_, a| {
            Ok(array(a.kind(0), Vec::new()))
        }),
    ],
    ..Table::CLASS
}];

fn no_elements() -> Fault {
    Fault::invalid("Sequence contains no elements")
}

fn no_match() -> Fault {
    Fault::invalid("Sequence contains no matching element")
}

/// The first item, or the first that a test holds for.
fn matching(
    machine: &mut Machine<'_>,
    call: &Call<'_>,
    tested: bool,
) -> Result<Option<Value>, Fault> {
    let mut walk = Walk::of(machine, &call.value(0))?;
    while let Some(item) = walk.next(machine)? {
        let holds = !tested
            || machine
                .invoke(&call.value(1), std::slice::from_ref(&item))?
                .as_bool()
                == Some(true);
        if holds {
            return Ok(Some(item));
        }
    }
    Ok(None)
}

fn or_default(
    found: Option<Value>,
    call: &Call<'_>,
    tested: bool,
    needed: bool,
) -> Result<Value, Fault> {
    match found {
        Some(value) => Ok(value),
        None if needed && tested => Err(no_match()),
        None if needed => Err(no_elements()),
        None => Ok(default_of(&call.kind(0))),
    }
}

fn first(
    machine: &mut Machine<'_>,
    call: &mut Call<'_>,
    tested: bool,
    needed: bool,
) -> Result<Value, Fault> {
    let found = matching(machine, call, tested)?;
    or_default(found, call, tested, needed)
}

fn all_matching(
    machine: &mut Machine<'_>,
    call: &Call<'_>,
    tested: bool,
) -> Result<Vec<Value>, Fault> {
    let source = if tested {
        query(machine, call.value(0), Step::Where(call.value(1)))?
    } else {
        call.value(0)
    };
    collect(machine, &source)
}

fn last(
    machine: &mut Machine<'_>,
    call: &mut Call<'_>,
    tested: bool,
    needed: bool,
) -> Result<Value, Fault> {
    let found = all_matching(machine, call, tested)?.pop();
    or_default(found, call, tested, needed)
}

fn single(
    machine: &mut Machine<'_>,
    call: &mut Call<'_>,
    tested: bool,
    needed: bool,
) -> Result<Value, Fault> {
    let mut found = all_matching(machine, call, tested)?;
    if found.len() > 1 {
        return Err(Fault::invalid(if tested {
            "Sequence contains more than one matching element"
        } else {
            "Sequence contains more than one element"
        }));
    }
    or_default(found.pop(), call, tested, needed)
}

fn in_other(machine: &mut Machine<'_>, call: &Call<'_>, wanted: bool) -> Result<Value, Fault> {
    let all = collect(machine, &call.value(0))?;
    let others = collect(machine, &call.value(1))?;
    machine.charge(all.len().saturating_mul(others.len()))?;
    let kept = all
        .into_iter()
        .filter(|value| others.iter().any(|other| equal(value, other)) == wanted)
        .collect();
    let kept = distinct(machine, kept)?;
    Ok(array(call.kind(0), kept))
}

fn sum(machine: &mut Machine<'_>, source: &Value, kind: Kind) -> Result<Value, Fault> {
    let mut total = Number::wrapped(0, kind);
    for value in collect(machine, source)? {
        let Value::Number(number) = value else {
            continue;
        };
        total = match (total.as_integer(), number.as_integer()) {
            (Some(a), Some(b)) => Number::checked(a + b, kind).map_err(|_| {
                Fault::new(
                    "OverflowException",
                    "Arithmetic operation resulted in an overflow.",
                )
            })?,
            _ => total.arithmetic(Arithmetic::Add, number)?,
        };
    }
    Ok(Value::Number(total))
}

fn extreme(
    machine: &mut Machine<'_>,
    call: &Call<'_>,
    wanted: std::cmp::Ordering,
) -> Result<Value, Fault> {
    let mut best: Option<Value> = None;
    for value in collect(machine, &call.value(0))? {
        let better = match &best {
            None => true,
            Some(best) => {
                let order = comparison(&value, best);
                order.ok_or_else(|| {
                    Fault::argument("At least one object must implement IComparable.")
                })? == wanted
            }
        };
        if better {
            best = Some(value);
        }
    }
    best.ok_or_else(no_elements)
}

fn dictionary(
    machine: &mut Machine<'_>,
    call: &Call<'_>,
    key: Type,
    value: Type,
) -> Result<Value, Fault> {
    let mut entries = indexmap::IndexMap::new();
    for item in collect(machine, &call.value(0))? {
        machine.allocate(96)?;
        let key = machine.invoke(&call.value(1), std::slice::from_ref(&item))?;
        let value = if call.values.len() > 2 {
            machine.invoke(&call.value(2), &[item])?
        } else {
            item
        };
        let Some(wanted) = crate::evaluate::key(&key) else {
            return Err(Fault::argument_null("key"));
        };
        if entries.contains_key(&wanted) {
            return Err(Fault::argument(format!(
                "An item with the same key has already been added. Key: {key}"
            )));
        }
        entries.insert(wanted, (key, value));
    }
    Ok(Value::object(Object::Dictionary(Dictionary {
        key,
        value,
        entries: parking_lot::Mutex::new(entries),
    })))
}
