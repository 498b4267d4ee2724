"""What models learn from: prompts, demonstrations and rankings. No model in sight, and no torch.

records    the three types, checked when they are made
formats    rows of JSON, ours and TRL's, to records and back
dialogue   conversational rows: messages to text and back
audit      what a whole list of records must satisfy: it fits, it does not contradict itself or leak
jsonl      files of records: strict reading, atomic writing
curation   the paper's care for its prompts (§3.2, App. A)
"""
