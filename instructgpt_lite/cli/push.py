"""The command line: python -m instructgpt_lite push: a finished model to the Hub."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

SAFE = (".safetensors", ".json", ".txt", ".md")      # none of them can run


@dataclass
class PushCommand:
    """Upload the folder of a finished model, with its card, to the Hugging Face Hub."""

    folder: Annotated[Path, tyro.conf.Positional]
    """The model's folder, such as runs/tiny/models/ppo_ptx."""
    name: Annotated[str, tyro.conf.Positional]
    """Where to: YOU/NAME. It is made, private, if it is not there."""
    public: bool = False
    """Whether everybody may see what is made."""

    def __call__(self) -> int:
        """Check, then upload. ValueError, OSError say what is wrong."""
        check_files(self.folder)
        from huggingface_hub import HfApi, constants, errors, get_token

        from instructgpt_lite.data.hub import check_reachable
        from instructgpt_lite.run.folder import check_model

        check_model(self.folder)
        if not get_token():
            raise ValueError("there is no token of the Hub: make one that may write at "
                             "https://huggingface.co/settings/tokens, and run\n"
                             "  hf auth login")
        check_reachable(constants.ENDPOINT, "whoami-v2")
        api = HfApi()
        try:
            api.create_repo(self.name, private=not self.public, exist_ok=True)
            print(api.upload_folder(repo_id=self.name, folder_path=self.folder,
                                    commit_message="A model of instructgpt_lite"))
        except (errors.HfHubHTTPError, errors.HFValidationError) as error:
            raise ValueError(f"the Hub refuses {self.name} ({error!r:.120}): name "
                             "YOU/NAME, with a token that may write there") from error
        return 0


def check_files(folder: Path) -> None:
    """ValueError, unless it is a model's folder with nothing else in it."""
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} is no model: name a folder with config.json and "
                         "safetensors, such as runs/tiny/models/ppo_ptx")
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or path.is_file() and path.suffix not in SAFE:
            raise ValueError(f"{path} would be uploaded, and only files that end in "
                             f"{', '.join(SAFE)} may be: move it elsewhere")
