"""What models learn from: prompts, demonstrations, rankings. No model in sight.

records      the three types, checked when they are made
chats        lists of messages to text
shapes       rows of public data sets as rows of ours
formats      rows of any known form to records, and back
archives     a file out of a zip or tar
rows         the bytes of a file (JSON, CSV, Parquet, gzip) to rows
jsonl        files of records: strict reading, whole writing
hub          datasets of the Hugging Face Hub, and folders in its layout
ratings      536,520 ratings by people, to rankings
curation     what a list must satisfy: the paper's care, no leakage, no contradiction
tokenizers   of whole words, and GPT-2's own
protocols    what stages and judges ask of whoever brings data
"""
