"""Writes a package as the index has it: make_wheel.py FOLDER NAME VERSION [PROGRAM ...]. Its code is tiny_source.py."""
import os
import sys
import zipfile

folder, name, version, *scripts = sys.argv[1:]
module = name.replace("-", "_")
about = f"{module}-{version}.dist-info"
source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tiny_source.py")
files = {
    f"{module}/__init__.py": open(source).read().replace("{VERSION}", version),
    f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
if scripts:
    lines = "".join(f"{script} = {module}:main\n" for script in scripts)
    files[f"{about}/entry_points.txt"] = f"[console_scripts]\n{lines}"
record = f"{about}/RECORD"
with zipfile.ZipFile(os.path.join(folder, f"{module}-{version}-py3-none-any.whl"), "w") as wheel:
    for path, text in files.items():
        wheel.writestr(path, text)
    wheel.writestr(record, "".join(f"{path},,\n" for path in [*files, record]))
