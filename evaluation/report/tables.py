def terminal_table(summaries):
    return "\n".join(f"{s.name} clean {s.clean_accuracy} " + " | ".join(f"{a.label}: {a.accuracy:.3f} med {a.median:.3f} n={a.samples} {a.seconds:.0f}s" for a in s.attacks+s.unions) + "\n" + "\n".join(map(str,s.checks)) for s in summaries)
