"""Kinds of documents by the weight of their words: source code, CVs, salary lists. One word never makes one."""

from __future__ import annotations

from collections.abc import Sequence

from services.policy.core.detectors import Detector, Word


def _words(weight: int, words: str) -> tuple[Word, ...]:
    return tuple(Word(expression=w.replace("_", "[ _-]?"), weight=weight) for w in words.split())


def _patterns(weight: int, most: int, expressions: Sequence[str]) -> tuple[Word, ...]:
    return tuple(Word(expression=e, weight=weight, most=most) for e in expressions)


DOCUMENTS = (
    Detector(
        name="source_code",
        about="source code of the usual languages",
        source="own: declarations and statements that prose does not have",
        threshold=6,
        words=(
            *_patterns(
                2,
                3,
                (
                    '#include ?[<"][a-z0-9_/.]{2,40}[>"]',
                    "\\ndef [a-z_][a-z0-9_]{0,40}\\([^\\n]{0,120}\\)[^\\n]{0,40}:\\r?\\n",
                    "\\nfrom [a-z_.]{1,40} import [a-z_*(]",
                    "\\nimport java[a-z]?\\.[a-z.]{2,60};",
                    "public static (?:void|final|int|string)",
                    "(?:public|private|protected) (?:async |static |final |override )?[a-z<>\\[\\]]{2,"
                    "30} [a-z_]{2,40}\\(",
                    "\\n[ \\t]*(?:const|let|var) [a-z_$][a-z0-9_$]{0,40} ?= ",
                    "function [a-z_$][a-z0-9_$]{0,40}\\([^\\n)]{0,80}\\) ?\\{",
                    "\\) ?=> ?\\{",
                    "\\nfunc (?:\\([a-z]+ \\*?[a-z]+\\) )?[a-z_]{2,40}\\(",
                    "\\npackage [a-z.]{2,60};?\\r?\\n",
                    "\\nusing [a-z.]{3,60};",
                    "\\nnamespace [a-z.:\\\\]{2,60}",
                    "<\\?php",
                    "#!/(?:usr/)?bin/[a-z/ ]{2,20}",
                    "\\nfn [a-z_]{2,40}(?:<[a-z, :]+>)?\\(",
                    "\\nimpl(?:<[^\\n]{1,30}>)? [a-z]{2,40}",
                    'select [^\\n]{1,120} from [a-z_."]{2,40}[^\\n]{0,80} where ',
                    'insert into [a-z_."]{2,40} ?\\(',
                    'create (?:or replace )?(?:table|procedure|function) [a-z_."]{2,40}',
                    "std::[a-z_]{2,30}",
                    "console\\.log\\(",
                    "system\\.out\\.print",
                    "if __name__ == ",
                    "self\\.[a-z_]{2,40} = ",
                ),
            ),
            *_patterns(
                1,
                3,
                (
                    "\\n[ \\t]+return [^\\n]{1,80};?\\r?\\n",
                    "\\n[ \\t]*(?:if|for|while|switch) ?\\([^\\n]{1,80}\\) ?\\{",
                    ";\\r?\\n[ \\t]*\\}",
                    "\\n[ \\t]*(?:if|for|while) [^\\n]{1,80}:\\r?\\n[ \\t]+",
                    "\\n[ \\t]+//[^\\n]{2,80}",
                    "!== ?[a-z0-9'\"]",
                    "\\n[ \\t]*(?:try|except|catch|finally)(?: ?\\{|:)",
                ),
            ),
        ),
        catches=(
            "from os import path\n\ndef load(name: str) -> str:\n    if name == '':\n"
            "        return ''\n    return path.join('a', name)\n",
            "#include <stdio.h>\nint main(void) {\n  for (int i = 0; i < 3; i++) {\n"
            '    printf("%d", i);\n  }\n  return 0;\n}\nstd::string x;\n',
            "package com.acme;\nimport java.util.List;\npublic class A {\n  public "
            "static void main(String[] a) {\n    System.out.println(1);\n  }\n}\n",
            "x\nconst a = 1;\nlet b = 2;\nfunction go(x) {\n  if (x !== 1) {\n    console.log(b);\n"
            "  }\n  return a;\n}\n",
        ),
        spares=(
            "Please import the list and return it to me; if it is late, call.",
            "public holiday on Friday",
            "select a gift from the list where you like",
        ),
    ),
    Detector(
        name="resume",
        about="curriculum vitae of a person",
        source="own: the headings and phrases of CVs in Chinese, Japanese and English",
        threshold=10,
        words=(
            *_words(4, "履歷表 履歷書 个人简历 個人簡歷 履歴書 職務経歴書 curriculum_vitae résumé 求職履歷"),
            *_words(
                3,
                "自傳 應徵職務 应聘职位 求职意向 志望動機 自己PR 期望待遇 希望待遇 期望薪资 "
                "本人希望記入欄 references_available work_experience employment_history "
                "professional_experience career_objective",
            ),
            *_words(
                2,
                "學歷 学历 学歴 工作經歷 工作經驗 工作经历 工作经验 職歴 專長 专业技能 "
                "語言能力 语言能力 教育背景 畢業學校 毕业院校 兵役狀況 免許・資格 最終学歴 "
                "technical_skills education certifications languages bachelor master_of "
                "professional_summary internship",
            ),
            *_words(
                1,
                "姓名 出生年月 出生日期 生年月日 通訊地址 联系方式 聯絡電話 氏名 ふりがな "
                "性別 婚姻 國籍 科系 專業 skills university gpa linkedin volunteer hobbies "
                "nationality date_of_birth",
            ),
        ),
        catches=(
            "履歷表\n姓名：王小明\n學歷：國立台灣大學\n工作經歷：工程師\n專長：Python\n期望待遇：面議\n自傳：我…",
            "個人簡歷\n姓名 李四\n出生日期\n教育背景\n工作经历\n专业技能\n求职意向",
            "履歴書\nふりがな\n氏名\n生年月日\n学歴\n職歴\n免許・資格\n志望動機",
            "Curriculum Vitae\nWork Experience\nEducation: Bachelor of Science\nTechnical "
            "Skills\nLanguages\nReferences available",
        ),
        spares=("Our university offers education in many languages.", "請提供姓名與聯絡電話", "會議記錄：討論學歷認證"),
    ),
    Detector(
        name="salary_list",
        about="list of salaries of several people",
        source="own: the columns of pay lists in Chinese, Japanese and English, with several amounts",
        threshold=12,
        words=(
            *_words(
                5,
                "薪資明細 薪資清冊 薪資表 薪资表 工资表 工资条 薪水單 給与明細 給与一覧 "
                "賃金台帳 payroll salary_list salary_slip payslip",
            ),
            *_words(
                3,
                "底薪 本薪 基本工资 基本給 實發金額 实发工资 應發金額 应发工资 差引支給額 "
                "總支給額 総支給額 加班費 加班费 全勤獎金 年終獎金 绩效工资 base_salary "
                "gross_pay net_pay gross_salary net_salary annual_salary",
            ),
            *_words(
                2,
                "薪資 薪资 工资 月薪 年薪 給与 賃金 勞保 健保費 勞退 社保 公积金 所得税 "
                "所得稅 代扣 扣繳 厚生年金 健康保険 雇用保険 残業 手当 salary bonus deductions "
                "overtime withholding allowance",
            ),
            *_words(1, "員工編號 员工编号 工號 工号 部門 部门 職稱 社員番号 氏名 姓名 employee department"),
            *_patterns(1, 4, ("[^0-9,.][0-9]{2,3},[0-9]{3}[^0-9,]", "[^0-9,.][1-9][0-9]{4,6}[^0-9,]")),
        ),
        catches=(
            "薪資明細表\n員工編號 姓名 底薪 加班費 勞保 實發金額\n001 王小明 45,000 2,300 1,100 46,200",
            "工资表\n工号 姓名 基本工资 绩效工资 社保 实发工资\n1 张三 12000 3000 800 14200",
            "給与明細\n氏名 基本給 残業 厚生年金 差引支給額\n山田 250,000 30,000 22,000 258,000",
            "Payroll\nEmployee Department Base salary Bonus Deductions Net pay\nAnn IT 85,000 5,000 12,000 78,000",
        ),
        spares=("My salary is due.", "The employee gets a bonus of 5,000", "部門會議：討論加班費", "年薪多少？"),
    ),
)
