"""Names in scripts that the faces of PDFs lack, or don't shape: what fallback fonts are for."""

from typing import Final

# Long enough to be broken into lines. Each has what goes wrong first in its script.
NAMES_BY_SCRIPT: Final = {
    "Ethiopic": "የ2018 የአሥራ ሁለተኛ ክፍል ብሔራዊ ፈተና ውጤት ማረጋገጫ",
    "Chinese": "全国普通高等学校招生统一考试成绩查询服务使用券",
    "Japanese": "大学入学統一試験の結果確認サービス利用券「カード払い専用」、本人のみ",
    "Korean": "대학수학능력시험 결과 확인 서비스 이용권",
    "N'Ko": "ߞߊ߬ߙߊ߲߬ߕߊ ߟߎ߬ ߟߊ߫ ߛߍ߲߬ߛߍ߲ ߖߋ߬ߓߌ",
    "Adlam": "𞤔𞤢𞤲𞤺𞤭𞤲𞤮𞤪𞤣𞤫 𞤫 𞤱𞤭𞤯𞤼𞤮 𞤶𞤢𞤱𞤣𞤭",
    "Tamil": "பன்னிரண்டாம் வகுப்பு பொதுத் தேர்வு முடிவுகள் சரிபார்ப்பு",
    "Bengali": "মাধ্যমিক ও উচ্চমাধ্যমিক পরীক্ষার ফলাফল যাচাই কোর্স ক্ষত্রিয়",
    "Devanagari": "माध्यमिक शिक्षा परीक्षा परिणाम सत्यापन क्षत्रिय र्कि ज्ञान",
    "Sinhala": "ශ්‍රී ලංකා විභාග ප්‍රතිඵල",
    "signs": "★ ✓ ☎ ⚠ ♥ 🎓",
    "all at once": "★ Exam 🎓 نتائج 考试 परीक्षा בדיקה ߞߊ߬ߙߊ߲ (2026) ✓",
}
