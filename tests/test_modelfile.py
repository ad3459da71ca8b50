"""The careful loader's own rules; hostile files as such are in test_attacks.py."""

from pathlib import Path

import onnx
import pytest
from onnx.helper import make_node
from typer.testing import CliRunner

from vae_augment import load
from vae_augment.cli import app
from vae_augment.errors import ModelFormatError, NotFoundError, UnsafeModelError
from vae_augment.modelfile import read_model
from vae_augment.modelfile.cost import check_cost
from vae_augment.modelfile.structure import check_structure


def test_an_unknown_name_says_what_there_is(tmp_path: Path):
    with pytest.raises(NotFoundError) as caught:
        load("minst")
    assert str(caught.value) == (
        "There is no model 'minst': it is neither a bundled name (mnist, fashion-mnist) nor an existing file. "
        "Make a file with: vae-augment export CHECKPOINT -o model.onnx"
    )


def test_parts_compute_what_the_whole_does(tiny_model_path: Path):
    file = read_model(tiny_model_path)
    for part in ("encoder", "decoder"):
        onnx.checker.check_model(onnx.load_from_string(file.part(part)), full_check=True)
    assert file.part("whole") == tiny_model_path.read_bytes()


def test_no_path_of_the_machine_is_in_the_file(tiny_model_path: Path):
    content = tiny_model_path.read_bytes()
    for word in (b".py", b"/home", b"/tmp", str(Path.cwd()).encode()):
        assert word not in content


def test_allow_ops_lets_a_known_operator_through(tiny_model_path: Path, tmp_path: Path):
    model = onnx.load(tiny_model_path)
    for node in model.graph.node:
        node.input[:] = ["rounded" if name == "noise" else name for name in node.input]
    model.graph.node.insert(0, make_node("Round", ["noise"], ["rounded"]))
    path = tmp_path / "round.onnx"
    onnx.save(model, path)
    with pytest.raises(UnsafeModelError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path} was refused. It uses the operator 'Round', which is not on the list of allowed ones. "
        "If you trust the file's origin, pass allow_ops."
    )
    load(path, allow_ops=["Round"]).probe()


def test_shapes_computed_from_shapes_are_followed():
    """What `x.reshape(x.shape[0], -1)` of other exporters turns into."""
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
        g (float[batch,1,8,8] image) => (float[batch,64] rows) {
            shape = Shape (image)
            zero = Constant <value = int64 {0}> ()
            batch = Gather (shape, zero)
            axes = Constant <value = int64[1] {0}> ()
            first = Unsqueeze (batch, axes)
            rest = Constant <value = int64[1] {-1}> ()
            target = Concat <axis = 0> (first, rest)
            rows = Reshape (image, target)
        }""")
    check_cost(model)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 63
    with pytest.raises(ModelFormatError, match=r"rows is made with the shape \[2, 64\], but declared as \[2, 63\]"):
        check_cost(model)


def test_a_shape_from_the_data_is_refused():
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
        g (float[batch,4] noise) => (float[batch,4] rows) {
            sizes = Cast <to = 7> (noise)
            flat = Flatten <axis = 0> (sizes)
            axes = Constant <value = int64[1] {0}> ()
            target = Squeeze (flat, axes)
            rows = Reshape (noise, target)
        }""")
    with pytest.raises(UnsafeModelError, match="what Reshape makes cannot be known before it runs"):
        check_cost(model)


def test_weights_and_metadata_may_be_long_but_nothing_else(tiny_model_path: Path):
    model = onnx.load(tiny_model_path)
    tensor = onnx.numpy_helper.from_array(onnx.numpy_helper.np.zeros(1 << 20, "float32"), "large")
    model.graph.initializer.append(tensor)
    check_structure(model.SerializeToString())
    model.graph.doc_string = "x" * (1 << 20)
    with pytest.raises(UnsafeModelError, match="More than 1048576 bytes are neither weights nor metadata"):
        check_structure(model.SerializeToString())


def test_info_shows_the_verdict(tiny_model_path: Path, tmp_path: Path):
    good = CliRunner().invoke(app, ["info", str(tiny_model_path), "--check"])
    assert good.exit_code == 0
    assert good.output.splitlines()[-1].startswith("check       passed: structure, operators, tensors, names")
    (tmp_path / "broken.onnx").write_bytes(tiny_model_path.read_bytes()[:-100])
    bad = CliRunner().invoke(app, ["info", str(tmp_path / "broken.onnx"), "--check"])
    assert bad.exit_code == 1
    assert bad.output == (
        f"error: {tmp_path / 'broken.onnx'} was refused. It is not a readable ONNX file (it ends early). "
        "Copy or export it again.\n"
    )


def test_info_compares_a_digest(tiny_model_path: Path):
    bad = CliRunner().invoke(app, ["info", str(tiny_model_path), "--sha256", "0" * 64])
    assert bad.exit_code == 1
    assert "it is not the file that was meant" in bad.output
