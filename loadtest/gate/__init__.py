"""What must hold of a run, as text: parsed, measured, judged.

expression  the grammar: text -> conditions, and back
measure     a condition -> which requests count and which of them miss
recovery    when the best rung was back
judge       conditions -> pass, fail or inconclusive, with the numbers that say why
"""
