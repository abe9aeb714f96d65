# The rows of bench.sh as markdown, or with plain=1 as text in columns.
BEGIN {
    FS = "\t"
    heads = "row\ttopicfs\tcompared with\tthat one\tratio\ttarget\t"
    columns = split(heads, head, FS)
    for (c = 1; c <= columns; c++) width[c] = length(head[c])
    print machine "\n"
}

function number(x,    s, i)
{
    if (x >= 1000) {
        s = sprintf("%.0f", x)
        for (i = length(s) - 3; i > 0; i -= 3) s = substr(s, 1, i) "," substr(s, i + 1)
        return s
    }
    return sprintf(x >= 100 ? "%.0f" : x >= 10 ? "%.1f" : x >= 1 ? "%.2f" : "%.3f", x)
}

function three(text, unit,    v)
{
    if (text == "-" || text == "") return ""
    split(text, v, " ")
    if (v[2] == v[3]) return number(v[1]) unit
    return number(v[1]) unit " (" number(v[2]) "–" number(v[3]) ")"
}

function verdict(target, value, ratio,    v, limit)
{
    if (target !~ /^[rv][<>]=/) return ""
    split(target ~ /^r/ ? ratio : value, v, " ")
    limit = substr(target, 4) + 0
    return (target ~ />=/ ? v[1] >= limit : v[1] <= limit) ? "met" : "missed"
}

{ kind[NR] = $1; cell[NR, 1] = $2 }
$1 == "-" {
    unit = $3 == "/s" ? "/s" : " " $3
    cell[NR, 2] = three($5, unit)
    cell[NR, 3] = $8 == "-" ? "" : $8
    cell[NR, 4] = three($6, unit)
    cell[NR, 5] = three($7, "")
    cell[NR, 6] = $4 == "-" ? "" : substr($4, 2)
    sub(/>=/, "≥ ", cell[NR, 6])
    sub(/<=/, "≤ ", cell[NR, 6])
    cell[NR, 7] = verdict($4, $5, $7)
    for (c = 1; c <= columns; c++)
        if (characters(cell[NR, c]) > width[c]) width[c] = characters(cell[NR, c])
}

# length() counts bytes in the C locale: the bytes that only go on do not count.
function characters(s)
{
    gsub(/[\200-\277]/, "", s)
    return length(s)
}

function line(n,    c, s, text)
{
    s = plain ? "  " : "|"
    for (c = 1; c <= columns; c++) {
        text = n ? cell[n, c] : head[c]
        s = s (plain ? "" : " ") text
        s = s sprintf("%*s", width[c] - characters(text), "") (plain ? "  " : " |")
    }
    sub(/ +$/, "", s)
    print s
}

END {
    for (n = 1; n <= NR; n++) {
        if (kind[n] == "-") {
            line(n)
            continue
        }
        print (n > 1 ? "\n" : "") (plain ? "" : "### ") cell[n, 1] (plain ? "" : "\n")
        line(0)
        if (!plain) print "|---|---|---|---|---|---|---|"
    }
}
